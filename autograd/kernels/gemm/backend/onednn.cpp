#include <dnnl.h>
#include <omp.h>

#include "../gemm_backend.h"

namespace tapegrad::kernels {

bool gemm_onednn(const GemmCall<float>& x) {
  thread_local const bool one_thread = (omp_set_num_threads(1), true);  // OpenMP's setting is a thread's own
  const float beta = x.accumulate ? 1 : 0;
  return one_thread && dnnl_sgemm(x.trans_a ? 'T' : 'N', x.trans_b ? 'T' : 'N', x.m, x.n, x.k, 1, x.a, x.lda,
                                  x.b, x.ldb, beta, x.c, x.ldc) == dnnl_success;
}

bool gemm_onednn(const GemmCall<double>&) { return false; }

}  // namespace tapegrad::kernels
