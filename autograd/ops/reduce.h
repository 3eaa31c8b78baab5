/// Reductions over all or some axes: sum, mean, max, min, norm, variance, argmax.
#pragma once
#include <concepts>
#include <span>

#include "../tape.h"
#include "../tensor/axes.h"

namespace tapegrad {

/// Reductions over all elements (the result is a scalar) or over some axes, where negative axes count from
/// the end: `sum(x)`, `sum(x, -1)`, `sum(x, {.axis = {0, 2}})`, `sum(x, {.axis = -1, .keepdim = true})`. Each
/// function throws when an axis is out of range or named twice. The order of additions follows from the
/// extents alone: along the last axis 16 interleaved partial sums, joined by a fixed tree, else ascending.

struct ReduceOptions {
  Axes axis = {};        ///< default: every axis
  Flag keepdim = false;  ///< leave the reduced axes with extent 1 instead of dropping them
};

/// Options of what runs along a single axis.
struct AxisOptions {
  int axis = -1;
  Flag keepdim = false;  ///< leave the axis with extent 1 instead of dropping it
};

struct VarianceOptions {
  Axes axis = {};
  Flag keepdim = false;
  Index correction = 0;  ///< the divisor is n − correction: 0 gives the biased variance, 1 the unbiased one
};

/// y = Σ x, 0 over nothing;  dx = dy repeated. Over an empty list of axes x itself.
Var sum(const Var& x);
Var sum(const Var& x, const ReduceOptions& options);
/// y = Σ x / n, NaN over nothing;  dx = dy / n repeated. Over an empty list of axes x itself.
Var mean(const Var& x);
Var mean(const Var& x, const ReduceOptions& options);
/// The largest element, NaN when there is one;  equal maxima share dy equally (PyTorch's amax). Throws when
/// there are no elements, and over an empty list of axes.
Var max(const Var& x);
Var max(const Var& x, const ReduceOptions& options);
/// The smallest element, NaN when there is one;  equal minima share dy equally. Throws as `max` does.
Var min(const Var& x);
Var min(const Var& x, const ReduceOptions& options);
/// y = √Σ x², the Euclidean norm;  dx = dy ⊙ x / y, 0 where y = 0. Throws over an empty list of axes.
Var norm(const Var& x);
Var norm(const Var& x, const ReduceOptions& options);
/// y = Σ (x − mean)² / (n − correction);  dx = 2 dy ⊙ (x − mean) over the same divisor. Made of other ops.
/// Throws when the divisor would not be positive, and over an empty list of axes.
Var var(const Var& x);
Var var(const Var& x, const VarianceOptions& options);

/// Over one axis.
Var sum(const Var& x, std::integral auto axis) {
  return sum(x, ReduceOptions{.axis = static_cast<int>(axis)});
}
Var mean(const Var& x, std::integral auto axis) {
  return mean(x, ReduceOptions{.axis = static_cast<int>(axis)});
}
Var max(const Var& x, std::integral auto axis) {
  return max(x, ReduceOptions{.axis = static_cast<int>(axis)});
}
Var min(const Var& x, std::integral auto axis) {
  return min(x, ReduceOptions{.axis = static_cast<int>(axis)});
}
Var norm(const Var& x, std::integral auto axis) {
  return norm(x, ReduceOptions{.axis = static_cast<int>(axis)});
}
Var var(const Var& x, std::integral auto axis) {
  return var(x, VarianceOptions{.axis = static_cast<int>(axis)});
}

/// Positions, dtype i64, of the largest elements along an axis: the first of equal ones, the first NaN if
/// there is one. No gradient flows. Throws when the axis has extent 0.
Tensor argmax(const Tensor& x, const AxisOptions& options);
Tensor argmax(const Var& x, const AxisOptions& options);
inline Tensor argmax(const Tensor& x, int axis) { return argmax(x, AxisOptions{axis}); }
inline Tensor argmax(const Var& x, int axis) { return argmax(x, AxisOptions{axis}); }
/// The position of the largest element of every row of x [rows, columns], into `best` [rows], without an
/// allocation.
void argmax_rows(const Tensor& x, std::span<Index> best);

}  // namespace tapegrad
