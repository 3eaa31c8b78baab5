/// Softmax and its relatives along the last dimension of a contiguous [rows, n] matrix.
#pragma once

#include <cstdint>

namespace tapegrad::kernels {

using Index = std::int64_t;

/// y = exp(x - max) / sum exp(x - max) in every row. y may be x. A row that is all -inf gives zeros.
template <class T>
void softmax(const T* x, T* y, Index rows, Index n);

// The backward kernels add to dx, or write it when `accumulate` is false.

/// dx += y * (dy - sum(y * dy)), y the softmax.
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate = true);

/// y = x - logsumexp(x) in every row. y may be x. A row that is all -inf gives -inf.
template <class T>
void log_softmax(const T* x, T* y, Index rows, Index n);

/// dx += dy - exp(y) * sum(dy), y the log_softmax.
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate = true);

/// y[row] = log(sum exp(x)), without overflow; -inf for a row that is all -inf or empty.
template <class T>
void logsumexp(const T* x, T* y, Index rows, Index n);

/// dx += dy[row] * softmax(x), y the logsumexp. A row with y = -inf gets nothing.
template <class T>
void logsumexp_backward(const T* x, const T* y, const T* dy, T* dx, Index rows, Index n,
                        bool accumulate = true);

}  // namespace tapegrad::kernels
