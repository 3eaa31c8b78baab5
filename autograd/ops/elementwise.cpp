#include "elementwise.h"

#include <cmath>
#include <numbers>

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "compare.h"
#include "unary.h"

namespace tapegrad {
namespace {

struct Exp final : Unary<Primitive> {
  const char* name() const override { return "exp"; }
  Formula formula() const override { return "y = e^x;  dx = dy y"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::exp(x, y, n); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] * p.outputs[0]}; }
};

struct Log final : Unary<Primitive> {
  const char* name() const override { return "log"; }
  Formula formula() const override { return "y = ln x;  dx = dy / x"; }
  void forward(Views in, Views out) const override {
    run(in, out, [](auto* x, auto* y, Index n) { kernels::log(x, y, n); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] / p.inputs[0]}; }
};

struct Log1p final : Unary<Primitive> {
  const char* name() const override { return "log1p"; }
  Formula formula() const override { return "y = ln(1 + x);  dx = dy / (1 + x)"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::log1p(x); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] / (1 + p.inputs[0])}; }
};

struct Expm1 final : Unary<Primitive> {
  const char* name() const override { return "expm1"; }
  Formula formula() const override { return "y = e^x - 1;  dx = dy (y + 1)"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::expm1(x); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] * (p.outputs[0] + 1)}; }
};

struct Sqrt final : Unary<Primitive> {
  const char* name() const override { return "sqrt"; }
  Formula formula() const override { return "y = sqrt(x);  dx = dy / (2 y)"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::sqrt(x); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] / (2 * p.outputs[0])}; }
};

struct Rsqrt final : Unary<Primitive> {
  const char* name() const override { return "rsqrt"; }
  Formula formula() const override { return "y = 1 / sqrt(x);  dx = -dy y^3 / 2"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return 1 / std::sqrt(x); });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& y = p.outputs[0];
    return {-0.5 * (p.cotangents[0] * y * y * y)};
  }
};

struct Square final : Unary<Primitive> {
  const char* name() const override { return "square"; }
  Formula formula() const override { return "y = x^2;  dx = 2 dy x"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return x * x; });
  }
  VarList pullback(const PullbackArgs& p) const override { return {2 * (p.cotangents[0] * p.inputs[0])}; }
};

struct Reciprocal final : Unary<Primitive> {
  const char* name() const override { return "reciprocal"; }
  Formula formula() const override { return "y = 1 / x;  dx = -dy y^2"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return 1 / x; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {-(p.cotangents[0] * p.outputs[0] * p.outputs[0])};
  }
};

struct Abs final : Unary<Primitive> {
  const char* name() const override { return "abs"; }
  Formula formula() const override { return "y = |x|;  dx = dy sign(x), 0 at x = 0"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::abs(x); });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    accumulate(args, [](auto x, auto, auto dy) { return x > 0 ? dy : x < 0 ? -dy : 0; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &x = p.inputs[0], &dy = p.cotangents[0], none = dy.tape().full({}, 0);
    return {where(greater(x, none), dy, where(less(x, none), -dy, none))};
  }
};

struct Sin final : Unary<Primitive> {
  const char* name() const override { return "sin"; }
  Formula formula() const override { return "y = sin x;  dx = dy cos x"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::sin(x); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] * cos(p.inputs[0])}; }
};

struct Cos final : Unary<Primitive> {
  const char* name() const override { return "cos"; }
  Formula formula() const override { return "y = cos x;  dx = -dy sin x"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) { return std::cos(x); });
  }
  VarList pullback(const PullbackArgs& p) const override { return {-(p.cotangents[0] * sin(p.inputs[0]))}; }
};

struct NormalCdf final : Unary<Primitive> {
  const char* name() const override { return "normal_cdf"; }
  Formula formula() const override {
    return "y = (1 + erf(x / sqrt(2))) / 2;  dx = dy e^(-x^2 / 2) / sqrt(2 pi)";
  }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto x) {
      return static_cast<decltype(x)>(0.5 * std::erfc(static_cast<double>(x) * (-1 / std::numbers::sqrt2)));
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {(std::numbers::inv_sqrtpi / std::numbers::sqrt2) *
            (p.cotangents[0] * exp(-0.5 * square(p.inputs[0])))};
  }
};

struct Pow final : Unary<Primitive> {
  double exponent;
  explicit Pow(double power) : exponent(power) {}
  const char* name() const override { return "pow"; }
  Formula formula() const override { return "y = x^p;  dx = p dy x^(p - 1)"; }
  void attributes(Attributes& a) const override { put(a, "exponent", exponent); }
  void forward(Views in, Views out) const override {
    map(in, out, [this](auto x) { return std::pow(x, static_cast<decltype(x)>(exponent)); });
  }
  VarList pullback(const PullbackArgs& p) const override {
    if (exponent == 0) return {0 * p.cotangents[0]};  // not 0 x^-1, which is NaN at x = 0
    return {exponent * (p.cotangents[0] * pow(p.inputs[0], exponent - 1))};
  }
};

struct Clamp final : Unary<Primitive> {
  double low, high;
  Clamp(double smallest, double largest) : low(smallest), high(largest) {}
  const char* name() const override { return "clamp"; }
  Formula formula() const override {
    return "y = min(max(x, low), high);  dx = dy where low <= x <= high, else 0";
  }
  void attributes(Attributes& a) const override { put(a, "low", low), put(a, "high", high); }
  void forward(Views in, Views out) const override {
    map(in, out, [this](auto x) {
      const auto least = static_cast<decltype(x)>(low), most = static_cast<decltype(x)>(high);
      return x < least ? least : x > most ? most : x;
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    accumulate(args, [this](auto x, auto, auto dy) {
      using T = decltype(x);
      return x >= static_cast<T>(low) && x <= static_cast<T>(high) ? dy : 0;
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &x = p.inputs[0], &dy = p.cotangents[0];
    Tape& tape = dy.tape();
    const Var none = tape.full({}, 0);
    const Var not_above = where(less_equal(x, tape.full({}, high)), dy, none);
    return {where(greater_equal(x, tape.full({}, low)), not_above, none)};
  }
};

}  // namespace

Var exp(const Var& x) { return apply(Exp{}, {x}); }
Var log(const Var& x) { return apply(Log{}, {x}); }
Var log1p(const Var& x) { return apply(Log1p{}, {x}); }
Var expm1(const Var& x) { return apply(Expm1{}, {x}); }
Var sqrt(const Var& x) { return apply(Sqrt{}, {x}); }
Var rsqrt(const Var& x) { return apply(Rsqrt{}, {x}); }
Var square(const Var& x) { return apply(Square{}, {x}); }
Var reciprocal(const Var& x) { return apply(Reciprocal{}, {x}); }
Var abs(const Var& x) { return apply(Abs{}, {x}); }
Var sin(const Var& x) { return apply(Sin{}, {x}); }
Var cos(const Var& x) { return apply(Cos{}, {x}); }
Var normal_cdf(const Var& x) { return apply(NormalCdf{}, {x}); }
Var pow(const Var& x, double exponent) { return apply(Pow{exponent}, {x}); }
Var clamp(const Var& x, double low, double high) {
  expects(low <= high, "clamp: low {} must not be above high {}", low, high);
  return apply(Clamp{low, high}, {x});
}

}  // namespace tapegrad
