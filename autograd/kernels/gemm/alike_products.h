/// Internal: many consecutive products of small matrices of equal extents.
#pragma once

#include "packed_gemm.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// C = op(A) B or C += op(A) B with the bits of `gemm`. The constructor chooses the kernels once for all
/// products.
template <class T>
class AlikeProducts {
 public:
  AlikeProducts() = default;
  AlikeProducts(bool trans_a, Index m, Index n, Index k, Index lda, Index ldb, Index ldc, bool accumulate)
      : args_{k, lda, ldb, ldc, nullptr, accumulate, Mask<T>((n - 1) % kWidth<T> + 1), false}, n_(n) {
    if (m <= 0 || n <= 0) return;
    if (n > kPanel<T>) whole_ = RowBlocks<T>(m, kPanel<T>, trans_a);
    last_ = RowBlocks<T>(m, (n - 1) % kPanel<T> + 1, trans_a);
  }

  TAPEGRAD_INLINE void operator()(const T* a, const T* b, T* c) const {
    Index j = 0;
    for (; j + kPanel<T> < n_; j += kPanel<T>) whole_(args_, a, b + j, c + j);
    last_(args_, a, b + j, c + j);
  }

 private:
  MicroArgs<T> args_{0, 0, 0, 0, nullptr, false, Mask<T>(0), false};
  Index n_ = 0;
  RowBlocks<T> whole_, last_;  // of whole panels, and of the last one
};

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
