#include "tests/bench/kernels/gemm_libraries.h"

namespace tapegrad::bench {

std::vector<GemmLibrary> gemm_libraries() {
  return {
#ifdef TAPEGRAD_BENCH_OPENBLAS
      {"OpenBLAS", multiply_openblas},
#endif
#ifdef TAPEGRAD_BENCH_ONEDNN
      {"oneDNN", multiply_onednn},
#endif
#ifdef TAPEGRAD_BENCH_LIBXSMM
      {"LIBXSMM", multiply_libxsmm},
#endif
      {"Eigen", multiply_eigen},
  };
}

}  // namespace tapegrad::bench
