#include <cblas.h>

#include "tests/bench/kernels/gemm_libraries.h"

namespace tapegrad::bench {

bool multiply_openblas(const Product& p) {
  static const bool one_thread = (openblas_set_num_threads(1), true);
  const auto number = [](std::int64_t x) { return static_cast<blasint>(x); };
  cblas_sgemm(CblasRowMajor, p.trans_a ? CblasTrans : CblasNoTrans, p.trans_b ? CblasTrans : CblasNoTrans,
              number(p.m), number(p.n), number(p.k), 1.0f, p.a, number(p.lda()), p.b, number(p.ldb()), 0.0f,
              p.c, number(p.n));
  return one_thread;
}

}  // namespace tapegrad::bench
