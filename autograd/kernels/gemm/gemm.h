/// Matrix product: the kernel of linear layers, attention and every other contraction.
#pragma once

#include <cstdint>

#include "../kernel.h"

namespace tapegrad::kernels {

/// C = op(A) op(B), all matrices row-major, op(X) = X or, with `trans_*`, X^T.
///
///   op(A) [m, k]: element (i, p) at a[i * lda + p], or a[p * lda + i] when trans_a
///   op(B) [k, n]: element (p, j) at b[p * ldb + j], or b[j * ldb + p] when trans_b
///   C     [m, n]: element (i, j) at c[i * ldc + j]
///
/// An element starts from 0, from bias[j] when `bias` (n values) is given, or from the old C when
/// `accumulate` (from C + bias when both), and takes its k terms in ascending order, each by one fused
/// multiply-add (multiply, then add, in the generic variant). It therefore depends on its row of op(A) and
/// its column of op(B) alone: never on m, n, blocking or neighbours. Any size may be 0; with k = 0 the start
/// value is stored. C must not overlap A, B or bias.
TAPEGRAD_KERNEL(void, gemm,
                (bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
                 Index ldb, T* c, Index ldc, const T* bias = nullptr, bool accumulate = false),
                (trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate))

/// C = max(op(A) op(B) + bias, 0): the bits of `gemm` and then `relu`, without a second pass over C.
TAPEGRAD_KERNEL(void, gemm_relu,
                (bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
                 Index ldb, T* c, Index ldc, const T* bias = nullptr),
                (trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias))

}  // namespace tapegrad::kernels
