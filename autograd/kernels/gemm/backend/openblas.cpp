#include <cblas.h>

#include "../gemm_backend.h"

namespace tapegrad::kernels {
namespace {

template <class T, class Function>
bool multiply(const GemmCall<T>& x, Function cblas_gemm) {
  [[maybe_unused]] static const bool one_thread = (openblas_set_num_threads(1), true);
  const auto number = [](Index value) { return static_cast<blasint>(value); };
  cblas_gemm(CblasRowMajor, x.trans_a ? CblasTrans : CblasNoTrans, x.trans_b ? CblasTrans : CblasNoTrans,
             number(x.m), number(x.n), number(x.k), T{1}, x.a, number(x.lda), x.b, number(x.ldb),
             static_cast<T>(x.accumulate), x.c, number(x.ldc));
  return true;
}

}  // namespace

bool gemm_openblas(const GemmCall<float>& call) { return multiply(call, cblas_sgemm); }
bool gemm_openblas(const GemmCall<double>& call) { return multiply(call, cblas_dgemm); }

}  // namespace tapegrad::kernels
