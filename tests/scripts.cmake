# Tests that are scripts: rules of the tree, headers, kernel objects, the install, the code in the
# documentation.
set(python ${Python3_EXECUTABLE})

tapegrad_test(tree ${python} ${here}/check_tree.py ${PROJECT_SOURCE_DIR})
tapegrad_test(docs_rules ${python} ${here}/docs/check_docs.py ${PROJECT_SOURCE_DIR})
tapegrad_test(mutation_rules ${python} ${here}/mutation/mutate.py check ${PROJECT_SOURCE_DIR})

# The Python that has PyTorch, for tests that compare with it; without PyTorch they say what they skip.
set(TAPEGRAD_TORCH_PYTHON "" CACHE FILEPATH "Python with PyTorch; empty: build/python's, or the found one")
set(torch_python ${python})
if(TAPEGRAD_TORCH_PYTHON)
  set(torch_python ${TAPEGRAD_TORCH_PYTHON})
elseif(EXISTS ${PROJECT_SOURCE_DIR}/build/python/bin/python)  # where tests/run.sh installs it
  set(torch_python ${PROJECT_SOURCE_DIR}/build/python/bin/python)
endif()
tapegrad_test(safetensors_writer ${torch_python} ${here}/io/safetensors_writer.py
  $<TARGET_FILE:safetensors_tool>)
tapegrad_test(inspect_record ${torch_python} ${here}/inspect/check_record.py $<TARGET_FILE:record_tool>
  ${PROJECT_SOURCE_DIR})
if(TARGET seq2seq)
  tapegrad_test(parity_pytorch_configurations ${torch_python} ${here}/parity/configurations.py
    $<TARGET_FILE:seq2seq> parity --seed 1)
  tapegrad_test(safetensors_corpus ${torch_python} ${here}/io/safetensors_corpus.py $<TARGET_FILE:seq2seq>
    $<TARGET_FILE:safetensors_tool>)
endif()

if(TARGET seq2seq)
  tapegrad_test(parity_explain ${torch_python} ${here}/parity/explain_parity.py $<TARGET_FILE:seq2seq>)
  # A small model's explorer pages, for the tests in a browser.
  tapegrad_test(explorer_pages ${python} ${here}/browser/make_pages.py $<TARGET_FILE:seq2seq>
    ${PROJECT_BINARY_DIR}/tests/explorer $<TARGET_FILE:record_tool>)
  set_tests_properties(explorer_pages PROPERTIES FIXTURES_SETUP explorer_pages)
  # Each page's own test needs Chromium alone; the others a Python with tests/browser/requirements.txt.
  set(explorer ${PROJECT_BINARY_DIR}/tests/explorer)
  tapegrad_test(browser_self_test ${python} ${here}/browser/self_test.py ${explorer})
  set(TAPEGRAD_BROWSER_PYTHON "" CACHE FILEPATH
    "Python with Playwright; empty: build/browser's, or the found one")
  set(browser_python ${python})
  if(TAPEGRAD_BROWSER_PYTHON)
    set(browser_python ${TAPEGRAD_BROWSER_PYTHON})
  elseif(EXISTS ${PROJECT_SOURCE_DIR}/build/browser/bin/python)  # where tests/run.sh installs it
    set(browser_python ${PROJECT_SOURCE_DIR}/build/browser/bin/python)
  endif()
  set(browser_tests browser_self_test)
  foreach(name file numbers steps looks wrong room sample timeline)
    tapegrad_test(browser_${name} ${browser_python} ${here}/browser/${name}_test.py ${explorer})
    list(APPEND browser_tests browser_${name})
  endforeach()
  set_tests_properties(${browser_tests} PROPERTIES FIXTURES_REQUIRED explorer_pages)
  set_tests_properties(browser_file PROPERTIES RUN_SERIAL TRUE)  # it measures time
endif()

# Every family of cases in f64 and f32, freshly drawn.
tapegrad_test(parity_pytorch ${torch_python} ${here}/parity/compare.py --seed 2
  --tool $<TARGET_FILE:parity_tool>)
tapegrad_test(parity_golden ${torch_python} ${here}/parity/make_golden.py --check
  --tool $<TARGET_FILE:parity_tool>)
if(TARGET bench_step)
  tapegrad_test(bench_losses ${python} ${here}/bench/compare.py --losses --only tapegrad "eager plain"
    --bench-step $<TARGET_FILE:bench_step> --torch-python ${torch_python})
endif()
tapegrad_test(bench_report ${python} ${here}/bench/check_report.py)
tapegrad_test(parity_optim_cases ${python} ${here}/parity/check_optim_cases.py ${PROJECT_SOURCE_DIR})
tapegrad_test(parity_op_options ${python} ${here}/parity/check_op_options.py ${PROJECT_SOURCE_DIR})
tapegrad_test(parity_layers ${python} ${here}/parity/check_layers.py ${PROJECT_SOURCE_DIR})
tapegrad_test(parity_state_dict ${torch_python} ${here}/parity/state_dict.py $<TARGET_FILE:state_dict_tool>)
tapegrad_test(parity_first_values ${torch_python} ${here}/parity/first_values.py
  $<TARGET_FILE:state_dict_tool>)

get_target_property(eigen_include Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
tapegrad_test(headers ${python} ${here}/check_headers.py ${PROJECT_SOURCE_DIR}
  ${CMAKE_CXX_COMPILER} -I${TAPEGRAD_VIEW} -isystem ${eigen_include})

if(CMAKE_NM AND TARGET tapegrad_kernels_avx2 AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  add_test(NAME kernel_objects COMMAND ${python} ${here}/check_kernel_objects.py ${CMAKE_NM}
    $<TARGET_OBJECTS:tapegrad_kernels_avx2> $<TARGET_OBJECTS:tapegrad_kernels_avx512> COMMAND_EXPAND_LISTS)
endif()

if(TAPEGRAD_INSTALL AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  tapegrad_test(consumer bash ${here}/consumer/check.sh ${PROJECT_BINARY_DIR} ${CMAKE_CXX_COMPILER})
endif()

# Every ```cpp block of the documentation that begins with `// file: NAME.cpp` is a program, built and run.
file(GLOB_RECURSE pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages} ${here}/docs/extract.py)
execute_process(
  COMMAND ${python} ${here}/docs/extract.py ${PROJECT_SOURCE_DIR}/docs ${PROJECT_BINARY_DIR}/docs
  OUTPUT_VARIABLE programs OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
foreach(program ${programs})
  add_executable(docs_${program} ${PROJECT_BINARY_DIR}/docs/${program}.cpp)
  tapegrad_target(docs_${program})
  target_link_libraries(docs_${program} PRIVATE tapegrad)
  target_include_directories(docs_${program} PRIVATE ${PROJECT_SOURCE_DIR})
  tapegrad_test(docs_${program} docs_${program})
endforeach()

if(TARGET seq2seq)
  add_executable(logits_tool ${here}/docs/logits_tool.cpp)
  tapegrad_target(logits_tool)
  target_link_libraries(logits_tool PRIVATE seq2seq_parts)
  target_include_directories(logits_tool PRIVATE ${PROJECT_SOURCE_DIR})
  tapegrad_test(docs_pytorch_page ${torch_python} ${here}/docs/pytorch_page.py ${PROJECT_BINARY_DIR})
endif()
