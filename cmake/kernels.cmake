# The inner loops: every file of autograd/kernels, but for the two that the variants share, is compiled once
# per instruction set, with TAPEGRAD_ISA naming the variant; a call chooses among them
# (autograd/kernels/kernel.h). Kernels are optimised in every build type, so that debug tests stay quick.

set(TAPEGRAD_ISAS generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND TAPEGRAD_ISAS avx2 avx512)
endif()
set(TAPEGRAD_FLAGS_generic "")
set(TAPEGRAD_FLAGS_avx2 -mavx2 -mfma)
set(TAPEGRAD_FLAGS_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512)
set(TAPEGRAD_KERNEL_FLAGS ${TAPEGRAD_FP_FLAGS} -O3 -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)  # g++ 12 warns of its own intrinsics
  list(APPEND TAPEGRAD_KERNEL_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

# tapegrad_kernels(PREFIX SOURCES...): object libraries PREFIX_generic, PREFIX_avx2, …, and in
# `kernel_targets` their names.
function(tapegrad_kernels prefix)
  set(targets "")
  foreach(isa ${TAPEGRAD_ISAS})
    set(target ${prefix}_${isa})
    list(APPEND targets ${target})
    add_library(${target} OBJECT ${ARGN})
    tapegrad_target(${target})
    target_include_directories(${target} PRIVATE ${TAPEGRAD_VIEW})
    target_compile_definitions(${target} PRIVATE TAPEGRAD_ISA=${isa})
    target_compile_options(${target} PRIVATE ${TAPEGRAD_KERNEL_FLAGS} ${TAPEGRAD_FLAGS_${isa}})
  endforeach()
  set(kernel_targets ${targets} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/autograd/kernels/*.cpp)
foreach(name dispatch workspace)
  set(source ${PROJECT_SOURCE_DIR}/autograd/kernels/${name}.cpp)
  list(REMOVE_ITEM kernels ${source})
  target_sources(tapegrad_objects PRIVATE ${source})
endforeach()
tapegrad_kernels(tapegrad_kernels ${kernels})
set(TAPEGRAD_KERNEL_TARGETS ${kernel_targets})
