#include "reduce.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "compare.h"
#include "elementwise.h"
#include "reshape.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// x seen as [outer, n, inner], of which the middle is reduced.
struct Extents {
  Index outer = 1, n = 1, inner = 1;
};

/// Adjacent axes, `count` from `first` on.
struct Axes {
  int first, count;
};

/// Reduces adjacent axes to one value.
template <class O>
class Reducing : public Typed<O> {
 public:
  Reducing(Axes axes, bool keep) : axes_(axes), keep_(keep) {}
  Shape shape(Views in, int) const override {
    Shape result = kept(in[0].shape);
    for (int i = axes_.count; !keep_ && i-- > 0;) result = result.without(axes_.first);
    return result;
  }
  void attributes(Attributes& a) const final {
    std::string axes = fmt::format("{}", axes_.first);
    for (int i = 1; i < axes_.count; ++i) axes += fmt::format(", {}", axes_.first + i);
    axes_.count == 1 ? put(a, "axis", axes_.first) : put(a, "axes", axes_.count == 0 ? "" : axes);
    put(a, "keep_axis", keep_);
  }

 protected:
  ~Reducing() = default;

  Axes axes() const { return axes_; }
  Extents extents(const Shape& x) const {
    Extents e;
    for (int i = 0; i < x.rank(); ++i)
      (i < axes_.first ? e.outer : i < axes_.first + axes_.count ? e.n : e.inner) *= x[i];
    return e;
  }
  Shape kept(Shape x) const {
    for (int i = axes_.first; i < axes_.first + axes_.count; ++i) x[i] = 1;
    return x;
  }
  /// `y`, of this op's result's shape, with the reduced axes as extents of 1: broadcasts against x.
  Var aligned(const Var& y, const Shape& x) const { return keep_ ? y : reshape(y, kept(x)); }

 private:
  Axes axes_;
  bool keep_;
};

struct Sum final : Reducing<Sum> {
  bool average;
  Sum(Axes axes, bool keep, bool divide) : Reducing(axes, keep), average(divide) {}
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
  LargestOrSmallest(Axes axes, bool keep, bool max) : Reducing(axes, keep), largest(max) {}
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
Axes all_axes(const char* op, const Var& x) { return {0, shape_of(op, x).rank()}; }
Axes one_axis(const char* op, const Var& x, int axis) { return {checked_axis(op, axis, shape_of(op, x)), 1}; }

/// One op for every run of adjacent axes, from the last to the first.
Var reduce_axes(const char* op, Var x, std::initializer_list<int> axes, bool keep, bool average) {
  std::array<bool, Shape::max_rank> named{};
  for (const int axis : axes) {
    bool& seen = named[static_cast<std::size_t>(checked_axis(op, axis, shape_of(op, x)))];
    expects(!seen, "{}: axis {} is named twice among the axes of shape {}", op, axis, x.shape());
    seen = true;
  }
  const auto wanted = [&named](int axis) { return axis >= 0 && named[static_cast<std::size_t>(axis)]; };
  for (int last = shape_of(op, x).rank() - 1; last >= 0; --last) {
    if (!wanted(last)) continue;
    int first = last;
    while (wanted(first - 1)) --first;
    x = apply(Sum({first, last - first + 1}, keep, average), {x});
    last = first;
  }
  return x;
}

}  // namespace

Var sum(const Var& x) { return apply(Sum(all_axes("sum", x), false, false), {x}); }
Var sum(const Var& x, int axis, bool keep) { return apply(Sum(one_axis("sum", x, axis), keep, false), {x}); }
Var sum(const Var& x, std::initializer_list<int> axes, bool keep) {
  return reduce_axes("sum", x, axes, keep, false);
}
Var mean(const Var& x) { return apply(Sum(all_axes("mean", x), false, true), {x}); }
Var mean(const Var& x, int axis, bool keep) { return apply(Sum(one_axis("mean", x, axis), keep, true), {x}); }
Var mean(const Var& x, std::initializer_list<int> axes, bool keep) {
  return reduce_axes("mean", x, axes, keep, true);
}
Var max(const Var& x) { return apply(LargestOrSmallest(all_axes("max", x), false, true), {x}); }
Var max(const Var& x, int axis, bool keep) {
  return apply(LargestOrSmallest(one_axis("max", x, axis), keep, true), {x});
}
Var min(const Var& x) { return apply(LargestOrSmallest(all_axes("min", x), false, false), {x}); }
Var min(const Var& x, int axis, bool keep) {
  return apply(LargestOrSmallest(one_axis("min", x, axis), keep, false), {x});
}
Var norm(const Var& x, int axis, bool keep) {
  return apply(EuclideanNorm(one_axis("norm", x, axis), keep), {x});
}

Var var(const Var& x, int axis, bool keep, bool unbiased) {
  const Index n = shape_of("var", x)[one_axis("var", x, axis).first], divisor = unbiased ? n - 1 : n;
  expects(divisor > 0, "var: x of shape {} has {} elements along axis {}; {} needs at least {}", x.shape(), n,
          axis, unbiased ? "an unbiased variance" : "a variance", unbiased ? 2 : 1);
  const Var centred = x - mean(x, axis, true);
  return affine(sum(square(centred), axis, keep), 1 / static_cast<double>(divisor));
}

namespace {

/// Of `count` elements `step` apart; a NaN counts as the largest.
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

Tensor argmax(const Tensor& x, int axis) {
  const int at = checked_axis("argmax", axis, x.shape());
  const TensorView view = x.view();
  expects(can_compute(view.dtype), "argmax: needs f32 or f64, got {} of shape {}", dtype_name(view.dtype),
          view.shape);
  expects(view.shape[at] > 0, "argmax: x of shape {} has no elements along axis {}", view.shape, at);
  Tensor result(view.shape.without(at), DType::i64);
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
Tensor argmax(const Var& x, int axis) {
  x.tape("argmax");
  return argmax(x.value(), axis);
}

}  // namespace tapegrad
