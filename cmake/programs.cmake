# Programs: each examples/NAME.cpp or examples/NUMBER_NAME.cpp becomes bin/NAME, and the files of
# examples/seq2seq/ become bin/seq2seq.
find_package(CLI11 REQUIRED)
find_package(nlohmann_json 3 REQUIRED)

set(TAPEGRAD_PROGRAM_LIBRARIES tapegrad CLI11::CLI11 nlohmann_json::nlohmann_json)
add_custom_target(programs)  # all of them, without the tests

# tapegrad_program(NAME SOURCES...): a program in bin/ over the library.
function(tapegrad_program name)
  add_executable(${name} ${ARGN})
  tapegrad_target(${name})
  target_link_libraries(${name} PRIVATE ${TAPEGRAD_PROGRAM_LIBRARIES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  add_dependencies(programs ${name})
endfunction()

# Code that several programs share (progress bar, pictures) is a small library of its own.
file(GLOB support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/support/*.cpp)
if(support)
  add_library(tapegrad_support STATIC ${support})
  tapegrad_target(tapegrad_support)
  target_link_libraries(tapegrad_support PUBLIC ${TAPEGRAD_PROGRAM_LIBRARIES})
  target_include_directories(tapegrad_support PRIVATE ${PROJECT_SOURCE_DIR})
  list(PREPEND TAPEGRAD_PROGRAM_LIBRARIES tapegrad_support)
endif()

file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(source ${examples})
  cmake_path(GET source STEM name)
  string(REGEX REPLACE "^[0-9]+_" "" name ${name})
  tapegrad_program(${name} ${source})
endforeach()

file(GLOB_RECURSE seq2seq CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/seq2seq/*.cpp)
if(seq2seq)
  # All but main() is a library, so that tests can link it.
  set(seq2seq_main ${PROJECT_SOURCE_DIR}/examples/seq2seq/main.cpp)
  list(REMOVE_ITEM seq2seq ${seq2seq_main})
  add_library(seq2seq_parts STATIC ${seq2seq})
  tapegrad_target(seq2seq_parts)
  target_link_libraries(seq2seq_parts PUBLIC ${TAPEGRAD_PROGRAM_LIBRARIES})
  target_include_directories(seq2seq_parts PRIVATE ${PROJECT_SOURCE_DIR})
  tapegrad_precompile(seq2seq_parts <CLI/CLI.hpp> <nlohmann/json.hpp> <Eigen/Core> <fmt/format.h>)
  tapegrad_program(seq2seq ${seq2seq_main})
  target_link_libraries(seq2seq PRIVATE seq2seq_parts)
endif()
