#include "tests/bench/kernels/gemm_libraries.h"

namespace tapegrad::bench {

std::vector<GemmLibrary> gemm_libraries() {
  return {
#ifdef TAPEGRAD_BENCH_OPENBLAS
      {"OpenBLAS", kernels::gemm_openblas},
#endif
#ifdef TAPEGRAD_BENCH_ONEDNN
      {"oneDNN", kernels::gemm_onednn},
#endif
#ifdef TAPEGRAD_BENCH_LIBXSMM
      {"LIBXSMM", kernels::gemm_libxsmm},
#endif
      {"Eigen", kernels::gemm_eigen},
  };
}

}  // namespace tapegrad::bench
