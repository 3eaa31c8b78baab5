/// Matrix products of other libraries, those that CMake found, each on the calling thread alone.
#pragma once

#include <vector>

#include <tapegrad/autograd/kernels/kernel.h>

namespace tapegrad::bench {

using kernels::Index;

/// C = op(A) op(B) as in autograd/kernels/gemm/gemm.h; no size is 0.
struct GemmCall {
  bool trans_a, trans_b;
  Index m, n, k;
  const float* a;
  Index lda;
  const float* b;
  Index ldb;
  float* c;
  Index ldc;
};

/// Returns false where the library has no product of this form, and leaves C as it was.
using Multiply = bool(const GemmCall& call);

Multiply gemm_eigen, gemm_openblas, gemm_onednn, gemm_libxsmm;

struct GemmLibrary {
  const char* name;
  Multiply* multiply;
};

std::vector<GemmLibrary> gemm_libraries();

}  // namespace tapegrad::bench
