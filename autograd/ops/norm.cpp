#include "norm.h"

#include "../kernels/norm.h"
#include "arithmetic.h"
#include "elementwise.h"
#include "reduce.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// Inputs: x, then weight and bias where they are given.
template <class O>
class RowNorm : public Typed<O, Fused> {
 public:
  RowNorm(bool weight, bool bias, double e)
      : eps(e), weight_(weight ? 1 : 0), bias_(bias ? (weight ? 2 : 1) : 0) {}

  Shape shape(Views in, int output) const final {
    const Shape& x = in[0].shape;
    expects(x.rank() >= 1 && x.cols() > 0, "{}: x of shape {} has no elements along a last axis to normalise",
            this->name(), x);
    expects(eps >= 0, "{}: eps must not be negative, got {}", this->name(), eps);
    check(in, weight_, "weight");
    check(in, bias_, "bias");
    return output == 0 ? x : Shape{x.rows()};
  }
  void attributes(Attributes& a) const final { put(a, "eps", eps); }

 protected:
  ~RowNorm() = default;

  const double eps;

  /// Input `at`'s elements, null where it was not given or has no gradient.
  template <class T, class AnyViews>
  static T* data(const AnyViews& views, std::size_t at) {
    return at > 0 ? views[at].template data<T>() : nullptr;
  }
  std::size_t weight_at() const { return weight_; }
  std::size_t bias_at() const { return bias_; }

  Var scaled(Var y, std::span<const Var> in) const {
    if (weight_ > 0) y = y * in[weight_];
    if (bias_ > 0) y = y + in[bias_];
    return y;
  }

 private:
  void check(Views in, std::size_t at, const char* what) const {
    if (at == 0) return;
    const Index n = in[0].shape.cols();
    expects(in[at].shape == Shape{n},
            "{}: {} of shape {} does not fit the last axis of x {}; it must be [{}]", this->name(), what,
            in[at].shape, in[0].shape, n);
  }

  std::size_t weight_, bias_;  // position among the inputs, 0 where left out
};

struct LayerNorm final : RowNorm<LayerNorm> {
  using RowNorm::RowNorm;
  const char* name() const override { return "layer_norm"; }
  Formula formula() const override {
    return "y = xh w + b, xh = (x - mean(x)) / sqrt(var(x) + eps);  dx = (g - mean(g) - xh mean(g xh)) / "
           "sqrt(var(x) + eps), g = dy w";
  }
  Range writable_range(std::size_t input, Views, Views) const override {
    return input == 0 ? everything : nothing;
  }
  int saved() const override { return 2; }  // mean and 1 / deviation of each row
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Shape& x = in.shape();
    kernels::layer_norm<T>(in[0], data<T>(in.views, weight_at()), data<T>(in.views, bias_at()),
                           static_cast<T>(eps), out[0], out[1], out[2], x.rows(), x.cols());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Shape& x = g.x_shape();
    kernels::layer_norm_backward<T>(g.x(), data<T>(g.args.inputs, weight_at()), g.y(1), g.y(2), g.dy(),
                                    g.dx(), data<T>(g.args.dinputs, weight_at()),
                                    data<T>(g.args.dinputs, bias_at()), x.rows(), x.cols(),
                                    !g.uninitialized());
  }
  VarList define(std::span<const Var> in) const override {
    const Var centred = in[0] - mean(in[0], {.axis = -1, .keepdim = true});
    return {scaled(centred * rsqrt(mean(square(centred), {.axis = -1, .keepdim = true}) + eps), in)};
  }
};

struct RMSNorm final : RowNorm<RMSNorm> {
  using RowNorm::RowNorm;
  const char* name() const override { return "rms_norm"; }
  Formula formula() const override {
    return "y = xh w, xh = x / sqrt(mean(x^2) + eps);  dx = (g - xh mean(g xh)) / sqrt(mean(x^2) + eps), g = "
           "dy w";
  }
  Range writable_range(std::size_t input, Views, Views) const override {
    return input == 0 ? everything : nothing;
  }
  int saved() const override { return 1; }  // 1 / root mean square of each row
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Shape& x = in.shape();
    kernels::rms_norm<T>(in[0], data<T>(in.views, weight_at()), static_cast<T>(eps), out[0], out[1], x.rows(),
                         x.cols());
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Shape& x = g.x_shape();
    kernels::rms_norm_backward<T>(g.x(), data<T>(g.args.inputs, weight_at()), g.y(1), g.dy(), g.dx(),
                                  data<T>(g.args.dinputs, weight_at()), x.rows(), x.cols(),
                                  !g.uninitialized());
  }
  VarList define(std::span<const Var> in) const override {
    return {scaled(in[0] * rsqrt(mean(square(in[0]), {.axis = -1, .keepdim = true}) + eps), in)};
  }
};

template <class Kind>
Var normalise(const Var& x, const Operand& weight, const Operand& bias, double eps) {
  const Kind op{static_cast<bool>(weight), static_cast<bool>(bias), eps};
  return weight && bias ? apply(op, {x, weight, bias})
         : weight       ? apply(op, {x, weight})
         : bias         ? apply(op, {x, bias})
                        : apply(op, {x});
}

}  // namespace

Var layer_norm(const Var& x, const Operand& weight, const Operand& bias, double eps) {
  return normalise<LayerNorm>(x, weight, bias, eps);
}
Var rms_norm(const Var& x, const Operand& weight, double eps) {
  return normalise<RMSNorm>(x, weight, {}, eps);
}

}  // namespace tapegrad
