#include <dnnl.h>
#include <omp.h>

#include "tests/bench/gemm/libraries.h"

namespace tapegrad::bench {

bool gemm_onednn(const GemmCall& x) {
  thread_local const bool one_thread = (omp_set_num_threads(1), true);  // OpenMP's setting is a thread's own
  return one_thread && dnnl_sgemm(x.trans_a ? 'T' : 'N', x.trans_b ? 'T' : 'N', x.m, x.n, x.k, 1, x.a, x.lda,
                                  x.b, x.ldb, 0, x.c, x.ldc) == dnnl_success;
}

}  // namespace tapegrad::bench
