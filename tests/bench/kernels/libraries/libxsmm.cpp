#include <libxsmm.h>

#include "tests/bench/kernels/gemm_libraries.h"

namespace tapegrad::bench {

// LIBXSMM is column-major: Cᵀ = op(B)ᵀ op(A)ᵀ, so its first operand is our B. It generates code for a shape
// at the first call, and refuses to transpose that operand.
bool multiply_libxsmm(const Product& p) {
  if (p.trans_b) return false;
  const auto number = [](std::int64_t x) { return static_cast<libxsmm_blasint>(x); };
  const libxsmm_blasint ldb = number(p.ldb()), lda = number(p.lda()), ldc = number(p.n);
  const float alpha = 1, beta = 0;
  const int flags = p.trans_a ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
  const libxsmm_smmfunction kernel = libxsmm_smmdispatch(number(p.n), number(p.m), number(p.k), &ldb, &lda,
                                                         &ldc, &alpha, &beta, &flags, nullptr);
  if (kernel == nullptr) return false;
  kernel(p.b, p.a, p.c);
  return true;
}

}  // namespace tapegrad::bench
