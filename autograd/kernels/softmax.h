/// Softmax and its relatives along the last dimension of a contiguous [rows, n] matrix.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace tapegrad::kernels {

/// y = exp(x - max) / sum exp(x - max) in every row. y may be x. A row that is all -inf gives zeros.
TAPEGRAD_KERNEL(void, softmax, (const T* x, T* y, Index rows, Index n), (x, y, rows, n))

// The backward kernels add to dx, or write it when `accumulate` is false.

/// dx += y * (dy - sum(y * dy)), y the softmax.
TAPEGRAD_KERNEL(void, softmax_backward,
                (const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate = true),
                (y, dy, dx, rows, n, accumulate))

/// y = x - logsumexp(x) in every row. y may be x. A row that is all -inf gives -inf.
TAPEGRAD_KERNEL(void, log_softmax, (const T* x, T* y, Index rows, Index n), (x, y, rows, n))

/// dx += dy - exp(y) * sum(dy), y the log_softmax.
TAPEGRAD_KERNEL(void, log_softmax_backward,
                (const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate = true),
                (y, dy, dx, rows, n, accumulate))

/// y[row] = log(sum exp(x)), without overflow; -inf for a row that is all -inf or empty.
TAPEGRAD_KERNEL(void, logsumexp, (const T* x, T* y, Index rows, Index n), (x, y, rows, n))

/// dx += dy[row] * softmax(x), y the logsumexp. A row with y = -inf gets nothing.
TAPEGRAD_KERNEL(void, logsumexp_backward,
                (const T* x, const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate = true),
                (x, y, dy, dx, rows, n, accumulate))

}  // namespace tapegrad::kernels
