#include <libxsmm.h>

#include "../gemm_backend.h"

namespace tapegrad::kernels {
namespace {

// LIBXSMM is column-major: Cᵀ = op(B)ᵀ op(A)ᵀ, so its first operand is our B. It generates code for a shape
// at the first call, and refuses to transpose that operand.
template <class T, class Dispatch>
bool multiply(const GemmCall<T>& x, Dispatch dispatch) {
  if (x.trans_b) return false;
  const auto number = [](Index value) { return static_cast<libxsmm_blasint>(value); };
  const libxsmm_blasint ldb = number(x.ldb), lda = number(x.lda), ldc = number(x.ldc);
  const T alpha = 1, beta = x.accumulate ? 1 : 0;
  const int flags = x.trans_a ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
  const auto kernel =
      dispatch(number(x.n), number(x.m), number(x.k), &ldb, &lda, &ldc, &alpha, &beta, &flags, nullptr);
  if (kernel == nullptr) return false;
  kernel(x.b, x.a, x.c);
  return true;
}

}  // namespace

bool gemm_libxsmm(const GemmCall<float>& call) { return multiply(call, libxsmm_smmdispatch); }
bool gemm_libxsmm(const GemmCall<double>& call) { return multiply(call, libxsmm_dmmdispatch); }

}  // namespace tapegrad::kernels
