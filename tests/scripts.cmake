# Tests that are scripts: rules of the tree, headers, kernel objects, the install, the code in the
# documentation.
set(python ${Python3_EXECUTABLE})

tapegrad_test(tree ${python} ${here}/check_tree.py ${PROJECT_SOURCE_DIR})
tapegrad_test(docs_rules ${python} ${here}/docs/check_docs.py ${PROJECT_SOURCE_DIR})

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
