#include <cblas.h>

#include "tests/bench/gemm/libraries.h"

namespace tapegrad::bench {

bool gemm_openblas(const GemmCall& x) {
  [[maybe_unused]] static const bool one_thread = (openblas_set_num_threads(1), true);
  const auto number = [](Index value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, x.trans_a ? CblasTrans : CblasNoTrans, x.trans_b ? CblasTrans : CblasNoTrans,
              number(x.m), number(x.n), number(x.k), 1, x.a, number(x.lda), x.b, number(x.ldb), 0, x.c,
              number(x.ldc));
  return true;
}

}  // namespace tapegrad::bench
