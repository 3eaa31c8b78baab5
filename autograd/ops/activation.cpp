#include "activation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "../gradcheck/samples.h"
#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "compare.h"
#include "elementwise.h"
#include "unary.h"

namespace tapegrad {
namespace {

struct Tanh final : Unary<Primitive> {
  const char* name() const override { return "tanh"; }
  Formula formula() const override { return "y = tanh x;  dx = dy (1 - y^2)"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::tanh(x, y, n); });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    accumulate(args, [](auto, auto y, auto dy) { return dy * (1 - y * y); });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {p.cotangents[0] * (1 - square(p.outputs[0]))};
  }
};

struct Sigmoid final : Unary<Primitive> {
  const char* name() const override { return "sigmoid"; }
  Formula formula() const override { return "y = 1 / (1 + e^-x);  dx = dy y (1 - y)"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::sigmoid(x, y, n); });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    accumulate(args, [](auto, auto y, auto dy) { return dy * (y * (1 - y)); });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& y = p.outputs[0];
    return {p.cotangents[0] * (y * (1 - y))};
  }
};

struct Relu final : Unary<Primitive> {
  const char* name() const override { return "relu"; }
  Formula formula() const override { return "y = max(x, 0);  dx = dy where x > 0, else 0"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::relu(x, y, n); });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    run_backward(args, [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
      kernels::relu_backward(x, dy, dx, n, accumulate);
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var none = p.cotangents[0].tape().full({}, 0);
    return {where(greater(p.inputs[0], none), p.cotangents[0], none)};
  }
};

struct GeluByErf final : Unary<Fused> {
  const char* name() const override { return "gelu"; }
  Formula formula() const override {
    return "y = x P(x), P the normal distribution function;  dx = dy (P(x) + x P'(x))";
  }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::gelu(x, y, n); });
  }
  void backward(const BackwardArgs& args) const override {
    run_backward(args, [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
      kernels::gelu_backward(x, dy, dx, n, accumulate);
    });
  }
  VarList define(std::span<const Var> in) const override { return {in[0] * normal_cdf(in[0])}; }
};

struct GeluByTanh final : Unary<Fused> {
  const char* name() const override { return "gelu_tanh"; }
  Formula formula() const override {
    return "y = x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3);  dx = dy (y / x + x u' (1 - tanh^2 "
           "u) / 2)";
  }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::gelu_tanh(x, y, n); });
  }
  void backward(const BackwardArgs& args) const override {
    run_backward(args, [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
      kernels::gelu_tanh_backward(x, dy, dx, n, accumulate);
    });
  }
  // (1 + tanh u) / 2 = sigmoid(2 u), which does not cancel where u is far below 0.
  VarList define(std::span<const Var> in) const override {
    constexpr double twice = 2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
    const Var& x = in[0];
    return {x * sigmoid(x * affine(square(x), 0.044715 * twice, twice))};
  }
};

struct Silu final : Unary<Fused> {
  const char* name() const override { return "silu"; }
  Formula formula() const override { return "y = x s, s = sigmoid(x);  dx = dy (s + y (1 - s))"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) {
      kernels::sigmoid(x, y, n);
      for (Index i = 0; i < n; ++i) y[i] *= x[i];
    });
  }
  void backward(const BackwardArgs& args) const override {
    run_backward(args, []<class T>(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
      constexpr Index block = 256;
      T s[block];
      for (Index begin = 0; begin < n; begin += block) {
        const Index count = std::min(block, n - begin);
        kernels::sigmoid(x + begin, s, count);
        for (Index i = 0; i < count; ++i)
          dx[begin + i] =
              (accumulate ? dx[begin + i] : T(0)) + dy[begin + i] * (s[i] + x[begin + i] * s[i] * (1 - s[i]));
      }
    });
  }
  VarList define(std::span<const Var> in) const override { return {in[0] * sigmoid(in[0])}; }
};

struct Softplus final : Unary<Primitive> {
  const char* name() const override { return "softplus"; }
  Formula formula() const override { return "y = ln(1 + e^x);  dx = dy sigmoid(x)"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] * sigmoid(p.inputs[0])}; }
};

}  // namespace

Var tanh(const Var& x) { return apply(Tanh{}, {x}); }
Var sigmoid(const Var& x) { return apply(Sigmoid{}, {x}); }
Var relu(const Var& x) { return apply(Relu{}, {x}); }
Var gelu(const Var& x) { return gelu(x, Gelu::erf); }
Var gelu(const Var& x, Gelu form) {
  return form == Gelu::erf ? apply(GeluByErf{}, {x}) : apply(GeluByTanh{}, {x});
}
Var silu(const Var& x) { return apply(Silu{}, {x}); }
Var softplus(const Var& x) { return apply(Softplus{}, {x}); }

namespace {

const OpSamples tanh_samples("tanh", [] { return unary_samples(tanh, "torch.tanh(a)"); });
const OpSamples sigmoid_samples("sigmoid", [] { return unary_samples(sigmoid, "torch.sigmoid(a)"); });
const OpSamples relu_samples("relu", [] { return unary_samples(relu, "F.relu(a)", -2, 2, 0.2); });
const OpSamples gelu_samples("gelu",
                             [] { return unary_samples([](const Var& x) { return gelu(x); }, "F.gelu(a)"); });
const OpSamples gelu_tanh_samples("gelu_tanh", [] {
  return unary_samples([](const Var& x) { return gelu(x, Gelu::tanh); }, "F.gelu(a, approximate='tanh')");
});
const OpSamples silu_samples("silu", [] {
  std::vector<Sample> samples = unary_samples(silu, "F.silu(a)");
  samples.push_back({"more than one block of 256",
                     {sample_values({260}, -2, 2, 61), sample_values({260}, -2, 2, 62)},
                     [](const std::vector<Var>& in) { return silu(in[0]) + in[0] * in[1]; },
                     "F.silu(a) + a * b"});
  return samples;
});
const OpSamples softplus_samples("softplus", [] { return unary_samples(softplus, "F.softplus(a)"); });

}  // namespace
}  // namespace tapegrad
