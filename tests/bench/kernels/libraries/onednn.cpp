#include <dnnl.h>
#include <omp.h>

#include "tests/bench/kernels/gemm_libraries.h"

namespace tapegrad::bench {

bool multiply_onednn(const Product& p) {
  static const bool one_thread = (omp_set_num_threads(1), true);
  return one_thread && dnnl_sgemm(p.trans_a ? 'T' : 'N', p.trans_b ? 'T' : 'N', p.m, p.n, p.k, 1.0f, p.a,
                                  p.lda(), p.b, p.ldb(), 0.0f, p.c, p.n) == dnnl_success;
}

}  // namespace tapegrad::bench
