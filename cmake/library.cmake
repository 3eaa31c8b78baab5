# The library: every source below autograd/, nn/ and optim/. A new op or layer needs no entry here.

# Inside the library includes are relative; users write <tapegrad/nn/attention.h>, and the build offers the
# source folders under that name, as an install does. <tapegrad/tapegrad.h>, <tapegrad/nn.h> and
# <tapegrad/optim.h> are the umbrella headers of the three folders.
set(TAPEGRAD_VIEW ${PROJECT_BINARY_DIR}/include)
set(TAPEGRAD_UMBRELLAS "")
file(MAKE_DIRECTORY ${TAPEGRAD_VIEW}/tapegrad)
foreach(room autograd nn optim)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${room} ${TAPEGRAD_VIEW}/tapegrad/${room} SYMBOLIC)
endforeach()
foreach(umbrella "tapegrad:autograd/autograd,nn/io/state_dict" "nn:nn/nn" "optim:optim/optim")
  string(REGEX MATCH "^([a-z]+):(.+)$" matched ${umbrella})
  set(header ${TAPEGRAD_VIEW}/tapegrad/${CMAKE_MATCH_1}.h)
  string(REGEX REPLACE "([^,]+),?" "#include \"\\1.h\"\n" includes ${CMAKE_MATCH_2})
  file(CONFIGURE OUTPUT ${header} CONTENT "#pragma once\n${includes}")
  list(APPEND TAPEGRAD_UMBRELLAS ${header})
endforeach()

file(GLOB_RECURSE TAPEGRAD_SOURCES CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/autograd/*.cpp ${PROJECT_SOURCE_DIR}/nn/*.cpp ${PROJECT_SOURCE_DIR}/optim/*.cpp)
list(FILTER TAPEGRAD_SOURCES EXCLUDE REGEX "/autograd/kernels/")
if(NOT TAPEGRAD_SOURCES)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/empty.cpp CONTENT "")
  set(TAPEGRAD_SOURCES ${PROJECT_BINARY_DIR}/empty.cpp)
endif()

# Multiply-adds that the compiler fuses by itself would make results depend on the compiler and its target.
set(TAPEGRAD_FP_FLAGS -ffp-contract=off)

# g++ -O2 vectorises these loops over elements only with the dynamic cost model, which changes no bit.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/autograd/ops/arithmetic.cpp
    PROPERTIES COMPILE_OPTIONS -fvect-cost-model=dynamic)
endif()

# Objects first: the library is made of them.
add_library(tapegrad_objects OBJECT ${TAPEGRAD_SOURCES})
tapegrad_target(tapegrad_objects)
# Source locations of rules are relative to the root of the tree, see Formula in autograd/op.h.
file(RELATIVE_PATH source_from_build ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR})
string(REGEX REPLACE "/$" "" source_from_build "${source_from_build}")
target_compile_options(tapegrad_objects PRIVATE ${TAPEGRAD_FP_FLAGS}
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= -fmacro-prefix-map=${source_from_build}/=)
target_compile_definitions(tapegrad_objects PRIVATE EIGEN_DONT_PARALLELIZE)
target_include_directories(tapegrad_objects PUBLIC ${TAPEGRAD_VIEW})
target_link_libraries(tapegrad_objects PUBLIC Eigen3::Eigen fmt::fmt Threads::Threads)
tapegrad_precompile(tapegrad_objects <Eigen/Core> <fmt/format.h> <functional> <memory> <string> <vector>)

include(${CMAKE_CURRENT_LIST_DIR}/kernels.cmake)
set(TAPEGRAD_OBJECT_TARGETS tapegrad_objects ${TAPEGRAD_KERNEL_TARGETS})
set(TAPEGRAD_OBJECTS "")
foreach(target ${TAPEGRAD_OBJECT_TARGETS})
  list(APPEND TAPEGRAD_OBJECTS $<TARGET_OBJECTS:${target}>)
  if(BUILD_SHARED_LIBS)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endif()
endforeach()

add_library(tapegrad ${TAPEGRAD_OBJECTS})
add_library(tapegrad::tapegrad ALIAS tapegrad)
set_target_properties(tapegrad PROPERTIES LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(tapegrad PUBLIC cxx_std_20)
include(GNUInstallDirs)
target_include_directories(tapegrad PUBLIC
  $<BUILD_INTERFACE:${TAPEGRAD_VIEW}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(tapegrad PUBLIC Eigen3::Eigen fmt::fmt Threads::Threads)

# The explorer's page and the ops' sources, whose rules it shows, are part of the library as text.
function(tapegrad_embed function)
  set(source ${PROJECT_BINARY_DIR}/generated/${function}.cpp)
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DOUT=${source} -DFUNCTION=${function} -DROOT=${PROJECT_SOURCE_DIR}
            "-DFILES=${ARGN}" -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
  target_sources(tapegrad_objects PRIVATE ${source})
endfunction()
file(GLOB page_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/autograd/inspect/page/*.html
  ${PROJECT_SOURCE_DIR}/autograd/inspect/page/*.css ${PROJECT_SOURCE_DIR}/autograd/inspect/page/*.js)
file(GLOB_RECURSE op_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/autograd/ops/*.cpp)
tapegrad_embed(page ${page_files})
tapegrad_embed(ops ${op_files})
