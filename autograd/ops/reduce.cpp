#include "reduce.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "../gradcheck/samples.h"
#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "compare.h"
#include "elementwise.h"
#include "reshape.h"
#include "transpose.h"

namespace tapegrad {
namespace {

/// x seen as [outer, n, inner], of which the middle is reduced.
struct Extents {
  Index outer = 1, n = 1, inner = 1;
};

/// Reduces adjacent axes to one value.
class Reducing : public Primitive {
 public:
  Reducing(AxisRun axes, bool keep) : axes_(axes), keep_(keep) {}
  Shape shape(Views in, int) const override {
    Shape result = kept(in[0].shape);
    for (int i = axes_.count; !keep_ && i-- > 0;) result = result.without(axes_.first);
    return result;
  }
  void attributes(Attributes& a) const final {
    std::string axes = fmt::format("{}", axes_.first);
    for (int i = 1; i < axes_.count; ++i) axes += fmt::format(", {}", axes_.first + i);
    axes_.count == 1 ? put(a, "axis", axes_.first) : put(a, "axes", axes_.count == 0 ? "" : axes);
    put(a, "keepdim", keep_);
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
  Shape kept(Shape x) const {
    for (int i = axes_.first; i < axes_.first + axes_.count; ++i) x[i] = 1;
    return x;
  }
  /// `y`, of this op's result's shape, with the reduced axes as extents of 1: broadcasts against x.
  Var aligned(const Var& y, const Shape& x) const { return keep_ ? y : reshape(y, kept(x)); }

 private:
  AxisRun axes_;
  bool keep_;
};

struct Sum final : Reducing {
  bool average;
  Sum(AxisRun axes, bool keep, bool divide) : Reducing(axes, keep), average(divide) {}
  const char* name() const override { return average ? "mean" : "sum"; }
  Formula formula() const override {
    return average ? "y = sum(x) / n;  dx = dy / n repeated" : "y = sum(x);  dx = dy repeated";
  }
  void forward(Views in, Views out) const override {
    const auto [outer, n, inner] = extents(in[0].shape);
    dispatch(out[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T* x = in[0].data<T>();
      T* y = out[0].data<T>();
      for (Index o = 0; o < outer; ++o) {
        if (inner == 1)
          y[o] = kernels::sum(x + o * n, n);
        else
          kernels::sum_rows(x + o * n * inner, n, inner, inner, y + o * inner, false);
      }
      if (!average) return;
      for (Index i = 0; i < out[0].size(); ++i) y[i] /= static_cast<T>(n);
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    const auto [outer, n, inner] = extents(args.inputs[0].shape);
    dispatch(args.outputs[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T factor = average ? 1 / static_cast<T>(n) : T(1);
      const T* dy = args.doutputs[0].data<T>();
      T* dx = args.dinputs[0].data<T>();
      for (Index o = 0; o < outer; ++o, dy += inner) {
        if (inner == 1) {
          const T g = factor * dy[0];
          for (Index i = 0; i < n; ++i) *dx++ += g;
        } else {
          for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < inner; ++j) *dx++ += factor * dy[j];
        }
      }
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Shape& x = p.inputs[0].shape();
    const Var dy = aligned(p.cotangents[0], x);
    return {broadcast_to(average ? affine(dy, 1 / static_cast<double>(extents(x).n)) : dy, x)};
  }
};

struct Extreme final : Reducing {
  bool largest;
  Extreme(AxisRun axes, bool keep, bool max) : Reducing(axes, keep), largest(max) {}
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
  void forward(Views in, Views out) const override {
    const auto [outer, n, inner] = extents(in[0].shape);
    dispatch(out[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T* x = in[0].data<T>();
      T* y = out[0].data<T>();
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
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    const auto [outer, n, inner] = extents(args.inputs[0].shape);
    dispatch(args.outputs[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T *x = args.inputs[0].data<T>(), *y = args.outputs[0].data<T>(), *dy = args.doutputs[0].data<T>();
      T* dx = args.dinputs[0].data<T>();
      for (Index column = 0; column < outer * inner; ++column) {
        const Index begin = column / inner * n * inner + column % inner, end = begin + n * inner;
        Index ties = 0;
        for (Index i = begin; i < end; i += inner) ties += x[i] == y[column];
        const T share = dy[column] / static_cast<T>(ties);
        for (Index i = begin; i < end; i += inner)
          if (x[i] == y[column]) dx[i] += share;
      }
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& x = p.inputs[0];
    Tape& tape = x.tape();
    const Var y = aligned(p.outputs[0], x.shape()), dy = aligned(p.cotangents[0], x.shape());
    const Var chosen = where(equal(x, y), tape.full({}, 1), tape.full({}, 0));
    return {chosen * (dy / apply(Sum(axes(), true, false), {chosen}))};
  }
};

struct VectorNorm final : Reducing {
  using Reducing::Reducing;
  const char* name() const override { return "norm"; }
  Formula formula() const override { return "y = sqrt(sum(x^2));  dx = dy x / y, 0 where y = 0"; }
  void forward(Views in, Views out) const override {
    const auto [outer, n, inner] = extents(in[0].shape);
    dispatch(out[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T* x = in[0].data<T>();
      T* y = out[0].data<T>();
      for (Index o = 0; o < outer; ++o, y += inner, x += n * inner) {
        std::fill_n(y, inner, T(0));
        if (inner == 1)
          y[0] = kernels::sum_squares(x, n);
        else
          for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < inner; ++j) y[j] += x[i * inner + j] * x[i * inner + j];
        for (Index j = 0; j < inner; ++j) y[j] = std::sqrt(y[j]);
      }
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    const auto [outer, n, inner] = extents(args.inputs[0].shape);
    dispatch(args.outputs[0].dtype, [&, outer = outer, n = n, inner = inner](auto zero) {
      using T = decltype(zero);
      const T *x = args.inputs[0].data<T>(), *y = args.outputs[0].data<T>(), *dy = args.doutputs[0].data<T>();
      T* dx = args.dinputs[0].data<T>();
      for (Index o = 0; o < outer; ++o, y += inner, dy += inner)
        for (Index i = 0; i < n; ++i, x += inner, dx += inner)
          for (Index j = 0; j < inner; ++j)
            if (y[j] != 0) dx[j] += x[j] * (dy[j] / y[j]);
    });
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
  Shape kept = x.shape();
  int count = 0;
  for (const bool reduced : {false, true})
    for (int axis = 0; axis < x.rank(); ++axis)
      if (runs.names(axis) == reduced) {
        order[static_cast<std::size_t>(count++)] = axis;
        if (reduced) kept[axis] = 1;
      }
  int first = 0;
  while (!runs.names(order[static_cast<std::size_t>(first)])) ++first;
  const Var together = permute(x, std::span<const int>(order).first(static_cast<std::size_t>(count)));
  const Var y = apply(O({first, count - first}, false, rest...), {together});
  return options.keepdim ? reshape(y, kept) : y;
}

}  // namespace

Var sum(const Var& x) { return sum(x, ReduceOptions{}); }
Var sum(const Var& x, const ReduceOptions& options) { return reduce_runs("sum", x, options, false); }
Var mean(const Var& x) { return mean(x, ReduceOptions{}); }
Var mean(const Var& x, const ReduceOptions& options) { return reduce_runs("mean", x, options, true); }
Var max(const Var& x) { return max(x, ReduceOptions{}); }
Var max(const Var& x, const ReduceOptions& options) { return reduce_once<Extreme>("max", x, options, true); }
Var min(const Var& x) { return min(x, ReduceOptions{}); }
Var min(const Var& x, const ReduceOptions& options) { return reduce_once<Extreme>("min", x, options, false); }
Var norm(const Var& x) { return norm(x, ReduceOptions{}); }
Var norm(const Var& x, const ReduceOptions& options) { return reduce_once<VectorNorm>("norm", x, options); }

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

namespace {

using OverAll = Var (*)(const Var&);
using OverAxes = Var (*)(const Var&, const ReduceOptions&);

const char* python(bool value) { return value ? "True" : "False"; }

/// `torch` names PyTorch's function. `low` > 0 for norm, which has a kink at 0. Values are far enough apart
/// for the kinks of max and min.
std::vector<Sample> axis_samples(OverAxes f, const char* torch, double low = -2) {
  const auto along = [=](const char* label, const Shape& shape, int axis, bool keep, double scale = 1) {
    return Sample{label,
                  {sample_values(shape, scale * low, scale * 2, 41)},
                  [=](const std::vector<Var>& in) { return f(in[0], {.axis = axis, .keepdim = keep}); },
                  fmt::format("{}(a, dim={}, keepdim={})", torch, axis, python(keep))};
  };
  return {
      along("last axis", {3, 4}, -1, false),
      along("first axis", {3, 4}, 0, false),
      along("middle axis, kept", {2, 3, 4}, 1, true),
      along("last axis, kept", {2, 3, 4}, -1, true),
      along("rank 1", {5}, 0, false),
      along("longer than the 16 lanes", {2, 37}, 1, false),
      along("no rows", {0, 3}, 1, false),
      along("size-1 axis", {3, 1}, 1, false),
      along("size-1 dimensions", {1, 3, 1}, 1, true),
      along("small magnitude", {2, 3}, -1, false, 0.2),
      along("large magnitude", {2, 3}, -1, false, 100),
      {"repeated input",
       {sample_values({2, 3}, low, 2, 41)},
       [f](const std::vector<Var>& in) { return mul(f(in[0], {.axis = -1, .keepdim = true}), in[0]); },
       fmt::format("{}(a, dim=-1, keepdim=True) * a", torch)},
  };
}

std::vector<Sample> samples_of(OverAll all, OverAxes f, const char* torch) {
  std::vector<Sample> samples = axis_samples(f, torch);
  const auto add = [&](const char* label, const Shape& shape) {
    samples.push_back({label,
                       {sample_values(shape, -2, 2, 42)},
                       [all](const std::vector<Var>& in) { return all(in[0]); },
                       fmt::format("{}(a)", torch)});
  };
  add("everything", {2, 3, 4});
  add("rank 0", {});
  return samples;
}

void add_several_axes(std::vector<Sample>& samples, OverAxes f, const char* torch) {
  const auto add = [&](const char* label, std::initializer_list<int> axes, bool keep) {
    samples.push_back(
        {label,
         {sample_values({2, 3, 4, 2}, -2, 2, 43)},
         [=](const std::vector<Var>& in) { return f(in[0], {.axis = axes, .keepdim = keep}); },
         fmt::format("{}(a, dim=({}), keepdim={})", torch, fmt::join(axes, ", "), python(keep))});
  };
  static constexpr auto some = {0, 2}, more = {3, 1, -2};
  add("axes 0 and 2", some, false);
  add("axes 3, 1 and 2, kept", more, true);
}

const OpSamples sum_samples("sum", [] {
  std::vector<Sample> samples = samples_of(sum, sum, "torch.sum");
  add_several_axes(samples, sum, "torch.sum");
  samples.push_back({"nothing",
                     {Tensor({2, 0}, DType::f64)},
                     [](const std::vector<Var>& in) { return sum(in[0], 1); },
                     "torch.sum(a, dim=1)"});
  return samples;
});
const OpSamples mean_samples("mean", [] {
  std::vector<Sample> samples = samples_of(mean, mean, "torch.mean");
  add_several_axes(samples, mean, "torch.mean");
  samples.push_back({"variance",
                     {sample_values({3, 5, 2}, -2, 2, 44)},
                     [](const std::vector<Var>& in) { return var(in[0], {.axis = 1, .correction = 1}); },
                     "torch.var(a, dim=1, correction=1)"});
  return samples;
});
const OpSamples max_samples("max", [] {
  std::vector<Sample> samples = samples_of(max, max, "torch.amax");
  samples.push_back({"ties, kinks taken out",
                     {Tensor::of({{1, 1}, {2, -1}}, DType::f64)},
                     [](const std::vector<Var>& in) { return max(in[0], 1) + min(in[0], 1); },
                     "torch.amax(a, dim=1) + torch.amin(a, dim=1)"});
  return samples;
});
const OpSamples min_samples("min", [] { return samples_of(min, min, "torch.amin"); });
const OpSamples norm_samples("norm", [] {
  std::vector<Sample> samples = axis_samples(norm, "torch.linalg.vector_norm", 0.5);
  samples.push_back(
      {"0, kink taken out",
       {Tensor::of({{-1.5}, {0}, {0.5}}, DType::f64)},
       [](const std::vector<Var>& in) { return norm(in[0], {.axis = 1, .keepdim = true}) - abs(in[0]); },
       "torch.linalg.vector_norm(a, dim=1, keepdim=True) - torch.abs(a)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
