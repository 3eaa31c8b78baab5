#include "reduce.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "compare.h"
#include "elementwise.h"
#include "reshape.h"
#include "transpose.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// x seen as [outer, n, inner], of which the middle is reduced.
struct Extents {
  Index outer = 1, n = 1, inner = 1;
};

/// Reduces adjacent axes to one value.
template <class O>
class Reducing : public Typed<O> {
 public:
  Reducing(AxisRun axes, bool keepdim) : axes_(axes), keepdim_(keepdim) {}
  Shape shape(Views in, int) const override {
    Shape result = keepdim_shape(in[0].shape);
    for (int i = axes_.count; !keepdim_ && i-- > 0;) result = result.without(axes_.first);
    return result;
  }
  void attributes(Attributes& a) const final {
    std::string axes = fmt::format("{}", axes_.first);
    for (int i = 1; i < axes_.count; ++i) axes += fmt::format(", {}", axes_.first + i);
    axes_.count == 1 ? put(a, "axis", axes_.first) : put(a, "axes", axes_.count == 0 ? "" : axes);
    put(a, "keepdim", keepdim_);
  }

 protected:
  ~Reducing() = default;

  AxisRun axes() const { return axes_; }
  Extents extents(const Shape& x) const {
    Extents e;
    for (int i = 0; i < x.rank(); ++i)
      (i < axes_.first ? e.outer : i < axes_.first + axes_.count ? e.n : e.inner) *= x[i];
    return e;
  }
  Shape keepdim_shape(Shape x) const {
    for (int i = axes_.first; i < axes_.first + axes_.count; ++i) x[i] = 1;
    return x;
  }
  /// `y`, of this op's result's shape, with the reduced axes as extents of 1: broadcasts against x.
  Var aligned(const Var& y, const Shape& x) const { return keepdim_ ? y : reshape(y, keepdim_shape(x)); }

 private:
  AxisRun axes_;
  bool keepdim_;
};

struct Sum final : Reducing<Sum> {
  bool average;
  Sum(AxisRun axes, bool keepdim, bool divide) : Reducing(axes, keepdim), average(divide) {}
  const char* name() const override { return average ? "mean" : "sum"; }
  Formula formula() const override {
    return average ? "y = sum(x) / n;  dx = dy / n repeated" : "y = sum(x);  dx = dy repeated";
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const auto [outer, n, inner] = extents(in.shape());
    const T* x = in[0];
    T* y = out[0];
    for (Index o = 0; o < outer; ++o) {
      if (inner == 1)
        y[o] = kernels::sum(x + o * n, n);
      else
        kernels::sum_rows(x + o * n * inner, n, inner, inner, y + o * inner, false);
    }
    if (!average) return;
    for (Index i = 0; i < out.size(); ++i) y[i] /= static_cast<T>(n);
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const auto [outer, n, inner] = extents(g.x_shape());
    const T factor = average ? 1 / static_cast<T>(n) : T(1);
    const T* dy = g.dy();
    T* dx = g.dx();
    for (Index o = 0; o < outer; ++o, dy += inner) {
      if (inner == 1) {
        const T share = factor * dy[0];
        for (Index i = 0; i < n; ++i) *dx++ += share;
      } else {
        for (Index i = 0; i < n; ++i)
          for (Index j = 0; j < inner; ++j) *dx++ += factor * dy[j];
      }
    }
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Shape& x = p.inputs[0].shape();
    const Var dy = aligned(p.cotangents[0], x);
    return {broadcast_to(average ? affine(dy, 1 / static_cast<double>(extents(x).n)) : dy, x)};
  }
};

struct LargestOrSmallest final : Reducing<LargestOrSmallest> {
  bool largest;
  LargestOrSmallest(AxisRun axes, bool keepdim, bool max) : Reducing(axes, keepdim), largest(max) {}
  const char* name() const override { return largest ? "max" : "min"; }
  Formula formula() const override {
    return largest ? "y = max(x);  the largest share dy equally"
                   : "y = min(x);  the smallest share dy equally";
  }
  Shape shape(Views in, int output) const override {
    const Shape& x = in[0].shape;
    if (extents(x).n == 0 && axes().count == 1)
      throw Error(fmt::format("{}: x of shape {} has no elements along axis {}", name(), x, axes().first));
    expects(extents(x).n > 0, "{}: x of shape {} has no elements", name(), x);
    return Reducing::shape(in, output);
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const auto [outer, n, inner] = extents(in.shape());
    const T* x = in[0];
    T* y = out[0];
    const auto beats = [this](T v, T best) {
      return !(largest ? v <= best : v >= best) && !std::isnan(best);
    };
    for (Index o = 0; o < outer; ++o, y += inner) {
      std::copy_n(x, inner, y);
      x += inner;
      for (Index i = 1; i < n; ++i, x += inner)
        for (Index j = 0; j < inner; ++j)
          if (beats(x[j], y[j])) y[j] = x[j];
    }
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const auto [outer, n, inner] = extents(g.x_shape());
    const T *x = g.x(), *y = g.y(), *dy = g.dy();
    T* dx = g.dx();
    for (Index column = 0; column < outer * inner; ++column) {
      const Index begin = column / inner * n * inner + column % inner, end = begin + n * inner;
      Index ties = 0;
      for (Index i = begin; i < end; i += inner) ties += x[i] == y[column];
      const T share = dy[column] / static_cast<T>(ties);
      for (Index i = begin; i < end; i += inner)
        if (x[i] == y[column]) dx[i] += share;
    }
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& x = p.inputs[0];
    Tape& tape = x.tape();
    const Var y = aligned(p.outputs[0], x.shape()), dy = aligned(p.cotangents[0], x.shape());
    const Var chosen = where(equal(x, y), tape.full({}, 1), tape.full({}, 0));
    return {chosen * (dy / apply(Sum(axes(), true, false), {chosen}))};
  }
};

struct EuclideanNorm final : Reducing<EuclideanNorm> {
  using Reducing::Reducing;
  const char* name() const override { return "norm"; }
  Formula formula() const override { return "y = sqrt(sum(x^2));  dx = dy x / y, 0 where y = 0"; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const auto [outer, n, inner] = extents(in.shape());
    const T* x = in[0];
    T* y = out[0];
    for (Index o = 0; o < outer; ++o, y += inner, x += n * inner) {
      std::fill_n(y, inner, T(0));
      if (inner == 1)
        y[0] = kernels::sum_squares(x, n);
      else
        for (Index i = 0; i < n; ++i)
          for (Index j = 0; j < inner; ++j) y[j] += x[i * inner + j] * x[i * inner + j];
      for (Index j = 0; j < inner; ++j) y[j] = std::sqrt(y[j]);
    }
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const auto [outer, n, inner] = extents(g.x_shape());
    const T *x = g.x(), *y = g.y(), *dy = g.dy();
    T* dx = g.dx();
    for (Index o = 0; o < outer; ++o, y += inner, dy += inner)
      for (Index i = 0; i < n; ++i, x += inner, dx += inner)
        for (Index j = 0; j < inner; ++j)
          if (y[j] != 0) dx[j] += x[j] * (dy[j] / y[j]);
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& x = p.inputs[0];
    Tape& tape = x.tape();
    const Var y = aligned(p.outputs[0], x.shape()), dy = aligned(p.cotangents[0], x.shape());
    const Tensor null = equal(y, tape.full({}, 0));
    return {x * (masked_fill(dy, null, 0) / masked_fill(y, null, 1))};
  }
};

const Shape& shape_of(const char* op, const Var& x) {
  x.tape(op);
  return x.shape();
}
/// One op for every run.
Var reduce_runs(const char* op, const Var& x, const ReduceOptions& options, bool average) {
  const AxisRuns runs(op, shape_of(op, x), options.axis);
  Var y = x;
  for (const AxisRun& run : runs) y = apply(Sum(run, options.keepdim, average), {y});
  return y;
}

/// One op for all axes: several runs are brought together at the end of a permuted x.
template <class O, class... Rest>
Var reduce_once(const char* op, const Var& x, const ReduceOptions& options, Rest... rest) {
  const AxisRuns runs(op, shape_of(op, x), options.axis);
  expects(!runs.empty(), "{}: the list of axes of shape {} is empty", op, x.shape());
  if (runs.size() == 1) return apply(O(*runs.begin(), options.keepdim, rest...), {x});
  std::array<int, Shape::max_rank> order{};
  Shape keepdim_shape = x.shape();
  int count = 0;
  for (const bool reduced : {false, true})
    for (int axis = 0; axis < x.rank(); ++axis)
      if (runs.names(axis) == reduced) {
        order[static_cast<std::size_t>(count++)] = axis;
        if (reduced) keepdim_shape[axis] = 1;
      }
  int first = 0;
  while (!runs.names(order[static_cast<std::size_t>(first)])) ++first;
  const Var together = permute(x, std::span<const int>(order).first(static_cast<std::size_t>(count)));
  const Var y = apply(O({first, count - first}, false, rest...), {together});
  return options.keepdim ? reshape(y, keepdim_shape) : y;
}

}  // namespace

Var sum(const Var& x) { return sum(x, ReduceOptions{}); }
Var sum(const Var& x, const ReduceOptions& options) { return reduce_runs("sum", x, options, false); }
Var mean(const Var& x) { return mean(x, ReduceOptions{}); }
Var mean(const Var& x, const ReduceOptions& options) { return reduce_runs("mean", x, options, true); }
Var max(const Var& x) { return max(x, ReduceOptions{}); }
Var max(const Var& x, const ReduceOptions& options) {
  return reduce_once<LargestOrSmallest>("max", x, options, true);
}
Var min(const Var& x) { return min(x, ReduceOptions{}); }
Var min(const Var& x, const ReduceOptions& options) {
  return reduce_once<LargestOrSmallest>("min", x, options, false);
}
Var norm(const Var& x) { return norm(x, ReduceOptions{}); }
Var norm(const Var& x, const ReduceOptions& options) {
  return reduce_once<EuclideanNorm>("norm", x, options);
}

Var var(const Var& x) { return var(x, VarianceOptions{}); }
Var var(const Var& x, const VarianceOptions& options) {
  const AxisRuns runs("var", shape_of("var", x), options.axis);
  expects(!runs.empty(), "var: the list of axes of shape {} is empty", x.shape());
  Index n = 1;
  for (int axis = 0; axis < x.rank(); ++axis)
    if (runs.names(axis)) n *= x.shape()[axis];
  const Index divisor = n - options.correction;
  expects(divisor > 0, "var: {} elements of shape {} and correction {}; the divisor must be positive", n,
          x.shape(), options.correction);
  const Var centred = x - mean(x, {.axis = options.axis, .keepdim = true});
  return affine(sum(square(centred), {.axis = options.axis, .keepdim = options.keepdim}),
                1 / static_cast<double>(divisor));
}

Var Var::sum() const { return tapegrad::sum(*this); }
Var Var::sum(int axis) const { return tapegrad::sum(*this, axis); }
Var Var::sum(const ReduceOptions& options) const { return tapegrad::sum(*this, options); }
Var Var::mean() const { return tapegrad::mean(*this); }
Var Var::mean(int axis) const { return tapegrad::mean(*this, axis); }
Var Var::mean(const ReduceOptions& options) const { return tapegrad::mean(*this, options); }

namespace {

/// The index of the first largest of `count` elements that are `step` apart; a NaN counts as the largest.
template <class T>
Index first_largest(const T* x, Index count, Index step) {
  Index best = 0;
  for (Index i = 1; i < count; ++i) {
    const T value = x[i * step], top = x[best * step];
    if (!(value <= top) && !std::isnan(top)) best = i;
  }
  return best;
}

}  // namespace

Tensor argmax(const Tensor& x, const AxisOptions& options) {
  const int at = checked_axis("argmax", options.axis, x.shape());
  const TensorView view = x.view();
  expects(can_compute(view.dtype), "argmax: needs f32 or f64, got {} of shape {}", dtype_name(view.dtype),
          view.shape);
  expects(view.shape[at] > 0, "argmax: x of shape {} has no elements along axis {}", view.shape, at);
  Shape shape = view.shape.without(at);
  if (options.keepdim) shape = shape.inserted(at, 1);
  Tensor result(shape, DType::i64);
  Index inner = 1;
  for (int i = at + 1; i < view.shape.rank(); ++i) inner *= view.shape[i];
  dispatch(view.dtype, [&](auto zero) {
    using T = decltype(zero);
    Index* found = result.data<Index>();
    for (Index column = 0; column < result.size(); ++column) {
      const T* first = view.data<T>() + column / inner * view.shape[at] * inner + column % inner;
      found[column] = first_largest(first, view.shape[at], inner);
    }
  });
  return result;
}
void argmax_rows(const Tensor& x, std::span<Index> best) {
  const TensorView view = x.view();
  expects(
      can_compute(view.dtype) && view.shape.rank() == 2 && view.shape[1] > 0 &&
          view.shape[0] == static_cast<Index>(best.size()),
      "argmax_rows: {} of shape {} for {} results, expected f32 or f64 [rows, columns] and one for each row",
      dtype_name(view.dtype), view.shape, best.size());
  dispatch(view.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t row = 0; row < best.size(); ++row)
      best[row] = first_largest(view.data<T>() + static_cast<Index>(row) * view.shape[1], view.shape[1], 1);
  });
}
Tensor argmax(const Var& x, const AxisOptions& options) {
  x.tape("argmax");
  return argmax(x.value(), options);
}

}  // namespace tapegrad
