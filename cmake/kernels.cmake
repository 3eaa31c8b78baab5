# The inner loops: every file of autograd/kernels, but for those that the variants share, is compiled once
# per instruction set, with TAPEGRAD_ISA naming the variant; dispatch.cpp chooses among them at run time.
# Kernels are optimised in every build type, so that debug tests stay quick.

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

file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/autograd/kernels/*.cpp)
list(FILTER kernels EXCLUDE REGEX "/kernels/gemm/backend/")
set(TAPEGRAD_KERNEL_TARGETS "")

foreach(name dispatch gemm/gemm_backend workspace)  # what the variants share
  set(source ${PROJECT_SOURCE_DIR}/autograd/kernels/${name}.cpp)
  if(source IN_LIST kernels)
    list(REMOVE_ITEM kernels ${source})
    target_sources(tapegrad_objects PRIVATE ${source})
    if(avx2 IN_LIST TAPEGRAD_ISAS)
      set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS TAPEGRAD_X86=1)
    endif()
  endif()
endforeach()

if(kernels)
  foreach(isa ${TAPEGRAD_ISAS})
    set(target tapegrad_kernels_${isa})
    list(APPEND TAPEGRAD_KERNEL_TARGETS ${target})
    add_library(${target} OBJECT ${kernels})
    tapegrad_target(${target})
    target_include_directories(${target} PRIVATE ${TAPEGRAD_VIEW})
    target_compile_definitions(${target} PRIVATE TAPEGRAD_ISA=${isa})
    target_compile_options(${target} PRIVATE ${TAPEGRAD_KERNEL_FLAGS} ${TAPEGRAD_FLAGS_${isa}})
  endforeach()
endif()
