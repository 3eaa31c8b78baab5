#include "softmax.h"

#include <limits>

#include "../kernels/softmax.h"
#include "arithmetic.h"
#include "compare.h"
#include "detach.h"
#include "elementwise.h"
#include "reduce.h"
#include "reshape.h"
#include "transpose.h"
#include "typed.h"

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

/// Base class of ops over rows, that is, along the last axis.
template <class O>
class RowWise : public Typed<O, Fused> {
 public:
  Shape shape(Views in, int) const override { return in[0].shape; }
  Range writable_range(std::size_t, Views, Views) const final { return everything; }

 protected:
  ~RowWise() = default;
};

struct Softmax final : RowWise<Softmax> {
  const char* name() const override { return "softmax"; }
  Formula formula() const override { return "y = e^x / sum(e^x);  dx = y (dy - sum(dy y))"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::softmax(in[0], out[0], in.shape().rows(), in.shape().cols());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    kernels::softmax_backward(g.y(), g.dy(), g.dx(), g.x_shape().rows(), g.x_shape().cols(),
                              !g.uninitialized());
  }
  VarList define(std::span<const Var> in) const override {
    const Var e = exp(in[0] - finite(row_max(in[0])));
    return {e / row_total(e)};
  }
};

struct LogSoftmax final : RowWise<LogSoftmax> {
  const char* name() const override { return "log_softmax"; }
  Formula formula() const override { return "y = x - ln(sum(e^x));  dx = dy - e^y sum(dy)"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::log_softmax(in[0], out[0], in.shape().rows(), in.shape().cols());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    kernels::log_softmax_backward(g.y(), g.dy(), g.dx(), g.x_shape().rows(), g.x_shape().cols(),
                                  !g.uninitialized());
  }
  VarList define(std::span<const Var> in) const override {
    const Var shifted = in[0] - finite(row_max(in[0]));
    return {shifted - log(row_total(exp(shifted)))};
  }
};

struct LogSumExp final : RowWise<LogSumExp> {
  const char* name() const override { return "logsumexp"; }
  Formula formula() const override { return "y = ln(sum(e^x));  dx = dy e^(x - y)"; }
  void attributes(Attributes& a) const override { put(a, "axis", -1); }
  Shape shape(Views in, int) const override { return in[0].shape.with_tail(1, {1}); }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::logsumexp(in[0], out[0], in.shape().rows(), in.shape().cols());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    kernels::logsumexp_backward(g.x(), g.y(), g.dy(), g.dx(), g.x_shape().rows(), g.x_shape().cols(),
                                !g.uninitialized());
  }
  VarList define(std::span<const Var> in) const override {
    const Var &x = in[0], largest = row_max(x);
    if (x.shape().cols() == 0) return {log(largest)};  // no elements: log 0 = -inf
    return {log(row_total(exp(x - finite(largest)))) + largest};
  }
};

/// Runs `op` along `axis`; where that is not the last axis, on a transposed x.
template <class O>
Var along(const O& op, const Var& x, int axis) {
  x.tape(op.name());  // throws, naming the op, when x is empty or stale
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

}  // namespace tapegrad
