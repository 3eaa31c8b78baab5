#include "softmax.h"

#include <limits>

#include "../gradcheck/samples.h"
#include "../kernels/softmax.h"
#include "arithmetic.h"
#include "compare.h"
#include "detach.h"
#include "elementwise.h"
#include "reduce.h"
#include "reshape.h"
#include "transpose.h"

namespace tapegrad {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The definitions take out the maximum of a row without differentiating through it (the gradients of its two
// uses cancel), as a finite number even where the row is all -inf: -inf - (-inf) would be NaN.

/// Largest element of each row, [.., 1]; 0 in a row without elements.
Var row_max(const Var& x) {
  return detach(x.shape().cols() == 0 ? sum(x, {.axis = -1, .keepdim = true})
                                      : max(x, {.axis = -1, .keepdim = true}));
}

Var finite(const Var& row_max) {
  const double lowest = row_max.dtype() == DType::f32 ? std::numeric_limits<float>::lowest()
                                                      : std::numeric_limits<double>::lowest();
  return clamp(row_max, lowest, infinity);
}

/// Sum of each row of e = e^(x - max), [.., 1]. It is at least 1, except in a row that is all -inf, where 1/2
/// stands for 0.
Var row_total(const Var& e) { return clamp(sum(e, {.axis = -1, .keepdim = true}), 0.5, infinity); }

/// Works on rows, i.e. along the last axis.
class RowWise : public Fused {
 public:
  Shape shape(Views in, int) const override { return in[0].shape; }
  Range overwrites(std::size_t, Views, Views) const final { return everything; }

 protected:
  ~RowWise() = default;

  /// body(T{}, rows, cols).
  template <class Body>
  static void for_rows(const TensorView& x, Body body) {
    dispatch(x.dtype, [&](auto zero) { body(zero, x.shape.rows(), x.shape.cols()); });
  }
};

struct Softmax final : RowWise {
  const char* name() const override { return "softmax"; }
  Formula formula() const override { return "y = e^x / sum(e^x);  dx = y (dy - sum(dy y))"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  void forward(Views in, Views out) const override {
    for_rows(in[0], [&]<class T>(T, Index rows, Index n) {
      kernels::softmax(in[0].data<T>(), out[0].data<T>(), rows, n);
    });
  }
  void backward(const BackwardArgs& args) const override {
    for_rows(args.inputs[0], [&]<class T>(T, Index rows, Index n) {
      kernels::softmax_backward(args.outputs[0].data<T>(), args.doutputs[0].data<T>(),
                                args.dinputs[0].data<T>(), rows, n, !args.fresh[0]);
    });
  }
  VarList define(std::span<const Var> in) const override {
    const Var e = exp(in[0] - finite(row_max(in[0])));
    return {e / row_total(e)};
  }
};

struct LogSoftmax final : RowWise {
  const char* name() const override { return "log_softmax"; }
  Formula formula() const override { return "y = x - ln(sum(e^x));  dx = dy - e^y sum(dy)"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  void forward(Views in, Views out) const override {
    for_rows(in[0], [&]<class T>(T, Index rows, Index n) {
      kernels::log_softmax(in[0].data<T>(), out[0].data<T>(), rows, n);
    });
  }
  void backward(const BackwardArgs& args) const override {
    for_rows(args.inputs[0], [&]<class T>(T, Index rows, Index n) {
      kernels::log_softmax_backward(args.outputs[0].data<T>(), args.doutputs[0].data<T>(),
                                    args.dinputs[0].data<T>(), rows, n, !args.fresh[0]);
    });
  }
  VarList define(std::span<const Var> in) const override {
    const Var shifted = in[0] - finite(row_max(in[0]));
    return {shifted - log(row_total(exp(shifted)))};
  }
};

struct LogSumExp final : RowWise {
  const char* name() const override { return "logsumexp"; }
  Formula formula() const override { return "y = ln(sum(e^x));  dx = dy e^(x - y)"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  Shape shape(Views in, int) const override { return in[0].shape.with_tail(1, {1}); }
  void forward(Views in, Views out) const override {
    for_rows(in[0], [&]<class T>(T, Index rows, Index n) {
      kernels::logsumexp(in[0].data<T>(), out[0].data<T>(), rows, n);
    });
  }
  void backward(const BackwardArgs& args) const override {
    for_rows(args.inputs[0], [&]<class T>(T, Index rows, Index n) {
      kernels::logsumexp_backward(args.inputs[0].data<T>(), args.outputs[0].data<T>(),
                                  args.doutputs[0].data<T>(), args.dinputs[0].data<T>(), rows, n,
                                  !args.fresh[0]);
    });
  }
  VarList define(std::span<const Var> in) const override {
    const Var &x = in[0], largest = row_max(x);
    if (x.shape().cols() == 0) return {log(largest)};  // of 0
    return {log(row_total(exp(x - finite(largest)))) + largest};
  }
};

/// Runs `op` along `axis`, as the last one of a transposed x where it is another.
template <class O>
Var along(const O& op, const Var& x, int axis) {
  x.tape(op.name());
  const int at = checked_axis(op.name(), axis, x.shape()), last = x.rank() - 1;
  if (at == last) return apply(op, {x});
  return transpose(apply(op, {transpose(x, at, last)}), at, last);
}

}  // namespace

Var softmax(const Var& x) { return softmax(x, -1); }
Var softmax(const Var& x, int axis) { return along(Softmax{}, x, axis); }
Var log_softmax(const Var& x) { return log_softmax(x, -1); }
Var log_softmax(const Var& x, int axis) { return along(LogSoftmax{}, x, axis); }
Var logsumexp(const Var& x) { return logsumexp(x, AxisOptions{}); }
Var logsumexp(const Var& x, int axis) { return logsumexp(x, AxisOptions{.axis = axis}); }
Var logsumexp(const Var& x, const AxisOptions& options) {
  const Var y = along(LogSumExp{}, x, options.axis);
  return options.keepdim ? y : squeeze(y, options.axis);
}

namespace {

/// `torch` is a call of PyTorch's with {} for the axis.
std::vector<Sample> row_samples(Var (*f)(const Var&, int), const char* torch) {
  const auto sample = [=](const char* label, Tensor x, int axis) {
    return Sample{label,
                  {std::move(x)},
                  [=](const std::vector<Var>& in) { return f(in[0], axis); },
                  fmt::format(fmt::runtime(torch), axis)};
  };
  const auto x = [](const Shape& shape, double scale = 1) {
    return sample_values(shape, -2 * scale, 2 * scale, 51);
  };
  return {
      sample("matrix", x({3, 4}), -1),
      sample("rank 1", x({5}), 0),
      sample("rank 3", x({2, 3, 5}), 2),
      sample("first axis", x({3, 4}), 0),
      sample("middle axis", x({2, 3, 4}), -2),
      sample("longer than the 16 lanes", x({2, 37}), -1),
      sample("no rows", x({0, 4}), -1),
      sample("no columns", x({3, 0}), 0),
      sample("size-1 axis", x({3, 1}), -1),
      sample("size-1 dimensions", x({1, 3, 1}), 1),
      sample("small magnitude", x({2, 3}, 0.01), -1),
      sample("large magnitude", x({2, 3}, 5), -1),
      sample("far from 0", sample_values({2, 3}, 500, 502, 52), -1),
      {"repeated input",
       {x({2, 3})},
       [f](const std::vector<Var>& in) { return mul(in[0], f(in[0], -1)); },
       "a * " + fmt::format(fmt::runtime(torch), -1)},
  };
}

const OpSamples softmax_samples("softmax", [] { return row_samples(softmax, "torch.softmax(a, {})"); });
const OpSamples log_softmax_samples("log_softmax",
                                    [] { return row_samples(log_softmax, "torch.log_softmax(a, {})"); });
const OpSamples logsumexp_samples("logsumexp", [] {
  std::vector<Sample> samples =
      row_samples([](const Var& x, int axis) { return logsumexp(x, {.axis = axis, .keepdim = true}); },
                  "torch.logsumexp(a, {}, keepdim=True)");
  samples.push_back({"axis dropped",
                     {sample_values({2, 3, 4}, -2, 2, 53)},
                     [](const std::vector<Var>& in) { return logsumexp(in[0], 1); },
                     "torch.logsumexp(a, 1)"});
  const Tensor shift = Tensor::of({{0, 1, -infinity}, {-infinity, -infinity, -infinity}}, DType::f64);
  const Tensor empty = Tensor::of({{0}, {1}}, DType::boolean);
  samples.push_back({"a row of -inf",
                     {sample_values({2, 3}, -2, 2, 54)},
                     [=](const std::vector<Var>& in) {
                       const Var x = in[0] + in[0].tape().constant(shift.to(in[0].dtype()));
                       return masked_fill(logsumexp(x, {.axis = -1, .keepdim = true}), empty, 0);
                     },
                     "torch.logsumexp((a + shift).masked_fill(empty.bool(), 0), -1, keepdim=True)"
                     ".masked_fill(empty.bool(), 0)",
                     {{"shift", shift}, {"empty", empty}}});
  return samples;
});

}  // namespace
}  // namespace tapegrad
