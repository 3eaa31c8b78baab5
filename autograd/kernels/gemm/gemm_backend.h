/// Internal: who multiplies behind kernels::gemm and kernels::gemm_relu, chosen by CMake's TAPEGRAD_GEMM. The
/// default, own kernels, promise more than a library does (see gemm.h); the others stand here to be measured.
/// Attention multiplies inside its own kernels in every case.
#pragma once

#include "../variants.h"

namespace tapegrad::kernels {

/// C = op(A) op(B), or C += with `accumulate`; operands as in gemm.h, no size 0.
template <class T>
struct GemmCall {
  bool trans_a, trans_b;
  Index m, n, k;
  const T* a;
  Index lda;
  const T* b;
  Index ldb;
  T* c;
  Index ldc;
  bool accumulate;
};

// One file a library in gemm_backend/, each on the calling thread alone. False: the library has no such
// product, and C is as it was.
bool gemm_eigen(const GemmCall<float>& call);
bool gemm_eigen(const GemmCall<double>& call);
bool gemm_openblas(const GemmCall<float>& call);
bool gemm_openblas(const GemmCall<double>& call);
bool gemm_onednn(const GemmCall<float>& call);
bool gemm_onednn(const GemmCall<double>& call);
bool gemm_libxsmm(const GemmCall<float>& call);
bool gemm_libxsmm(const GemmCall<double>& call);

/// "own", "eigen", "openblas", "onednn" or "libxsmm".
const char* gemm_backend();

/// Puts the chosen library behind the table's gemm and gemm_relu; does nothing for "own". What a library
/// lacks, and every epilogue, is done by the kernels that stood there.
template <class T>
void use_gemm_backend(Table<T>& table);

}  // namespace tapegrad::kernels
