#include "tests/bench/gemm/libraries.h"

namespace tapegrad::bench {

std::vector<GemmLibrary> gemm_libraries() {
  return {
#ifdef TAPEGRAD_BENCH_OPENBLAS
      {"OpenBLAS", gemm_openblas},
#endif
#ifdef TAPEGRAD_BENCH_ONEDNN
      {"oneDNN", gemm_onednn},
#endif
#ifdef TAPEGRAD_BENCH_LIBXSMM
      {"LIBXSMM", gemm_libxsmm},
#endif
      {"Eigen", gemm_eigen},
  };
}

}  // namespace tapegrad::bench
