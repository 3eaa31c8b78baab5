#include "softmax.h"
#include "simd/rows.h"
#include "simd/vector_math.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

template <class T>
TAPEGRAD_INLINE void fill(T* y, Index n, T value) {
  for (Index j = 0; j < n; ++j) y[j] = value;
}

/// Sum of exp(x - max); -inf in all x is the caller's case.
template <class T>
TAPEGRAD_INLINE T sum_exp(const T* x, Index n, T max) {
  Lanes<T> sum(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        sum.part[part] += mask.select(exp(mask.load(x + j) - max), T{0});
      });
  return sum.sum();
}

template <class T>
TAPEGRAD_INLINE T log_sum_exp(const T* x, Index n) {
  const T max = row_max(x, n);
  if (max == -kInfinity<T>)
    return row_sum(x, n) < 0 || n == 0 ? max : row_sum(x, n);  // all -inf, or NaNs among them
  return static_cast<T>(static_cast<double>(max) + __builtin_log(static_cast<double>(sum_exp(x, n, max))));
}

}  // namespace

template <class T>
void softmax(const T* x, T* y, Index rows, Index n) {
  for (Index row = 0; row < rows; ++row, x += n, y += n) {
    const T max = row_max(x, n);
    if (max == -kInfinity<T> && row_sum(x, n) <= 0) {
      fill(y, n, T{0});
      continue;
    }
    Lanes<T> sum(0);
    for_row<T>(
        n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
          const Vector<T> e = mask.select(exp(mask.load(x + j) - max), T{0});
          mask.store(y + j, e);
          sum.part[part] += e;
        });
    const T inverse = 1 / sum.sum();
    for_each_vector<T>(
        n, [&](auto mask, Index j)
               __attribute__((always_inline)) { mask.store(y + j, mask.load(y + j) * inverse); });
  }
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  for (Index row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    const T dot = row_dot(y, dy, n);
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dx + j,
                     fma(mask.load(y + j), mask.load(dy + j) - dot, load_sum(accumulate, mask, dx + j)));
        });
  }
}

// Subtracts the maximum first: x - logsumexp(x) would be rounded as coarsely as the largest x.
template <class T>
void log_softmax(const T* x, T* y, Index rows, Index n) {
  for (Index row = 0; row < rows; ++row, x += n, y += n) {
    const T max = row_max(x, n);
    const bool nothing = max == -kInfinity<T> && row_sum(x, n) <= 0;
    const T shift = nothing ? 0 : max;
    const T total = nothing ? 0 : static_cast<T>(__builtin_log(static_cast<double>(sum_exp(x, n, max))));
    for_each_vector<T>(
        n, [&](auto mask, Index j)
               __attribute__((always_inline)) { mask.store(y + j, mask.load(x + j) - shift - total); });
  }
}

template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  for (Index row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    const T total = row_sum(dy, n);
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dx + j, load_sum(accumulate, mask, dx + j) +
                                 fma(exp(mask.load(y + j)), splat(-total), mask.load(dy + j)));
        });
  }
}

template <class T>
void logsumexp(const T* x, T* y, Index rows, Index n) {
  for (Index row = 0; row < rows; ++row) y[row] = log_sum_exp(x + row * n, n);
}

template <class T>
void logsumexp_backward(const T* x, const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  for (Index row = 0; row < rows; ++row, x += n, dx += n) {
    if (y[row] == -kInfinity<T>) {
      if (!accumulate) fill(dx, n, T{0});
      continue;
    }
    const T max = row_max(x, n);  // not y, which is rounded as coarsely as the largest x
    const T g = dy[row] / sum_exp(x, n, max);
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dx + j, fma(exp(mask.load(x + j) - max), splat(g), load_sum(accumulate, mask, dx + j)));
        });
  }
}

TAPEGRAD_INSTANTIATE(softmax)
TAPEGRAD_INSTANTIATE(softmax_backward)
TAPEGRAD_INSTANTIATE(log_softmax)
TAPEGRAD_INSTANTIATE(log_softmax_backward)
TAPEGRAD_INSTANTIATE(logsumexp)
TAPEGRAD_INSTANTIATE(logsumexp_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
