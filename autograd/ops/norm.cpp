#include "norm.h"

#include "../gradcheck/samples.h"
#include "../kernels/norm.h"
#include "arithmetic.h"
#include "elementwise.h"
#include "reduce.h"

namespace tapegrad {
namespace {

/// Inputs: x, then weight and bias where they are given.
class Norm : public Fused {
 public:
  Norm(bool weight, bool bias, double e)
      : eps(e), weight_(weight ? 1 : 0), bias_(bias ? (weight ? 2 : 1) : 0) {}

  Shape shape(Views in, int output) const final {
    const Shape& x = in[0].shape;
    expects(x.rank() >= 1 && x.cols() > 0, "{}: x of shape {} has no elements along a last axis to normalise",
            name(), x);
    expects(eps >= 0, "{}: eps must not be negative, got {}", name(), eps);
    check(in, weight_, "weight");
    check(in, bias_, "bias");
    return output == 0 ? x : Shape{x.rows()};
  }
  void attributes(Attributes& a) const final { put(a, "eps", eps); }

 protected:
  ~Norm() = default;

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
            "{}: {} of shape {} does not fit the last axis of x {}; it must be [{}]", name(), what,
            in[at].shape, in[0].shape, n);
  }

  std::size_t weight_, bias_;  // position among the inputs, 0 where left out
};

struct LayerNorm final : Norm {
  using Norm::Norm;
  const char* name() const override { return "layer_norm"; }
  Formula formula() const override {
    return "y = xh w + b, xh = (x - mean(x)) / sqrt(var(x) + eps);  dx = (g - mean(g) - xh mean(g xh)) / "
           "sqrt(var(x) + eps), g = dy w";
  }
  Range overwrites(std::size_t input, Views, Views) const override {
    return input == 0 ? everything : nothing;
  }
  int saved() const override { return 2; }  // mean and 1 / deviation of each row
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Shape& x = in[0].shape;
      kernels::layer_norm<T>(in[0].data<T>(), data<T>(in, weight_at()), data<T>(in, bias_at()),
                             static_cast<T>(eps), out[0].data<T>(), out[1].data<T>(), out[2].data<T>(),
                             x.rows(), x.cols());
    });
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Shape& x = args.inputs[0].shape;
      kernels::layer_norm_backward<T>(args.inputs[0].data<T>(), data<T>(args.inputs, weight_at()),
                                      args.outputs[1].data<T>(), args.outputs[2].data<T>(),
                                      args.doutputs[0].data<T>(), args.dinputs[0].data<T>(),
                                      data<T>(args.dinputs, weight_at()), data<T>(args.dinputs, bias_at()),
                                      x.rows(), x.cols(), !args.fresh[0]);
    });
  }
  VarList define(std::span<const Var> in) const override {
    const Var centred = in[0] - mean(in[0], {.axis = -1, .keepdim = true});
    return {scaled(centred * rsqrt(mean(square(centred), {.axis = -1, .keepdim = true}) + eps), in)};
  }
};

struct RmsNorm final : Norm {
  using Norm::Norm;
  const char* name() const override { return "rms_norm"; }
  Formula formula() const override {
    return "y = xh w, xh = x / sqrt(mean(x^2) + eps);  dx = (g - xh mean(g xh)) / sqrt(mean(x^2) + eps), g = "
           "dy w";
  }
  Range overwrites(std::size_t input, Views, Views) const override {
    return input == 0 ? everything : nothing;
  }
  int saved() const override { return 1; }  // 1 / root mean square of each row
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Shape& x = in[0].shape;
      kernels::rms_norm<T>(in[0].data<T>(), data<T>(in, weight_at()), static_cast<T>(eps), out[0].data<T>(),
                           out[1].data<T>(), x.rows(), x.cols());
    });
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Shape& x = args.inputs[0].shape;
      kernels::rms_norm_backward<T>(args.inputs[0].data<T>(), data<T>(args.inputs, weight_at()),
                                    args.outputs[1].data<T>(), args.doutputs[0].data<T>(),
                                    args.dinputs[0].data<T>(), data<T>(args.dinputs, weight_at()), x.rows(),
                                    x.cols(), !args.fresh[0]);
    });
  }
  VarList define(std::span<const Var> in) const override {
    return {scaled(in[0] * rsqrt(mean(square(in[0]), {.axis = -1, .keepdim = true}) + eps), in)};
  }
};

template <class Kind>
Var normalise(const Var& x, const Var& weight, const Var& bias, double eps) {
  VarList inputs{x};
  if (weight) inputs.push_back(weight);
  if (bias) inputs.push_back(bias);
  return apply(Kind{static_cast<bool>(weight), static_cast<bool>(bias), eps},
               {inputs.begin(), inputs.size()});
}

}  // namespace

Var layer_norm(const Var& x, const Var& weight, const Var& bias, double eps) {
  return normalise<LayerNorm>(x, weight, bias, eps);
}
Var rms_norm(const Var& x, const Var& weight, double eps) { return normalise<RmsNorm>(x, weight, {}, eps); }

namespace {

/// Rows must vary: at a constant row with a small eps the second derivative is too large for differences.
/// `torch` is a call of PyTorch's with {0} for the weight and {1} for the bias.
std::vector<Sample> norm_samples(Var (*f)(const Var&, const Var&, const Var&), const char* torch) {
  const auto sample = [=](const char* label, Tensor x, bool weight, bool bias) {
    const Index n = x.shape().cols();
    Sample result{label, {std::move(x)}, [=](const std::vector<Var>& in) {
                    return f(in[0], weight ? in[1] : Var(), bias ? in.back() : Var());
                  }};
    if (weight) result.inputs.push_back(sample_values({n}, 0.5, 1.5, 12));
    if (bias) result.inputs.push_back(sample_values({n}, -1, 1, 13));
    result.torch = fmt::format(fmt::runtime(torch), weight ? "b" : "None",
                               !bias    ? "None"
                               : weight ? "c"
                                        : "b");
    return result;
  };
  const auto x = [](const Shape& shape, double scale = 1) {
    return sample_values(shape, -2 * scale, 2 * scale, 11);
  };
  return {
      sample("weight and bias", x({3, 4}), true, true),
      sample("rank 3", x({2, 3, 5}), true, true),
      sample("rank 1", x({6}), true, true),
      sample("no rows", x({0, 4}), true, true),
      sample("size-1 rows", x({1, 1, 7}), true, true),
      sample("longer than a vector register", x({2, 19}), true, true),
      sample("plain", x({3, 4}), false, false),
      sample("weight only", x({3, 4}), true, false),
      sample("bias only", x({3, 4}), false, true),
      sample("large magnitude", x({2, 6}, 50), true, true),
      sample("small magnitude", x({2, 6}, 0.25), true, true),
      {"repeated input",
       {x({4})},
       [f](const std::vector<Var>& in) { return f(in[0], in[0], in[0]); },
       fmt::format(fmt::runtime(torch), "a", "a")},
  };
}

const OpSamples layer_norm_samples("layer_norm", [] {
  return norm_samples(
      [](const Var& x, const Var& weight, const Var& bias) { return layer_norm(x, weight, bias); },
      "F.layer_norm(a, a.shape[-1:], {}, {}, 1e-5)");
});
const OpSamples rms_norm_samples("rms_norm", [] {
  return norm_samples(
      [](const Var& x, const Var& weight, const Var& bias) {
        const Var y = rms_norm(x, weight);
        return bias ? y + bias : y;
      },
      "F.rms_norm(a, a.shape[-1:], {0}, 1e-6) + (0 if {1} is None else {1})");
});

}  // namespace
}  // namespace tapegrad
