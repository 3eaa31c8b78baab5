#include <libxsmm.h>

#include "tests/bench/gemm/libraries.h"

namespace tapegrad::bench {

// LIBXSMM is column-major: Cᵀ = op(B)ᵀ op(A)ᵀ, so its first operand is our B. It generates code for a shape
// at the first call, and refuses to transpose that operand.
bool gemm_libxsmm(const GemmCall& x) {
  if (x.trans_b) return false;
  const auto number = [](Index value) { return static_cast<libxsmm_blasint>(value); };
  const libxsmm_blasint ldb = number(x.ldb), lda = number(x.lda), ldc = number(x.ldc);
  const float alpha = 1, beta = 0;
  const int flags = x.trans_a ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
  const auto kernel = libxsmm_smmdispatch(number(x.n), number(x.m), number(x.k), &ldb, &lda, &ldc, &alpha,
                                          &beta, &flags, nullptr);
  if (kernel == nullptr) return false;
  kernel(x.b, x.a, x.c);
  return true;
}

}  // namespace tapegrad::bench
