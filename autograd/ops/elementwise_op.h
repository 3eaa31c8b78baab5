/// Elementwise ops as one statement: a value y = f(x) and a slope dx = f'(x) dy, each a generic lambda.
///
///     Var tanh(const Var& a) {
///       return elementwise("tanh", a, [](auto x) { return tanh(x); },
///                          [](auto, auto y, auto dy) { return dy * (1 - square(y)); });
///     }
///
/// Both run over Real numbers as the kernels, forward and backward. Over Vars the slope is the pullback,
/// which can be differentiated again; over Symbols both are the printed formula, "y = tanh x;  dx = dy (1 -
/// y^2)".
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <tuple>

#include "arithmetic.h"
#include "compare.h"
#include "symbol.h"
#include "typed.h"

namespace tapegrad {

/// A number of type T. Constants beside it take its type, so that a float is never computed in double.
template <class T>
struct Real {
  T value;
  template <class Number>
  requires std::is_arithmetic_v<Number> Real(Number number) : value(static_cast<T>(number)) {}

  friend Real operator+(Real a, Real b) { return a.value + b.value; }
  friend Real operator-(Real a, Real b) { return a.value - b.value; }
  friend Real operator*(Real a, Real b) { return a.value * b.value; }
  friend Real operator/(Real a, Real b) { return a.value / b.value; }
  friend Real operator-(Real a) { return -a.value; }
  friend bool operator>(Real a, Real b) { return a.value > b.value; }
  friend bool operator>=(Real a, Real b) { return a.value >= b.value; }
  friend bool operator<(Real a, Real b) { return a.value < b.value; }
  friend bool operator<=(Real a, Real b) { return a.value <= b.value; }
  friend Real where(bool condition, Real a, Real b) { return condition ? a : b; }
  /// NaN of `a` stays.
  friend Real max(Real a, Real b) { return a.value < b.value ? b : a; }
  friend Real min(Real a, Real b) { return a.value > b.value ? b : a; }

  friend Real square(Real x) { return x.value * x.value; }
  friend Real pow(Real x, Real exponent) { return std::pow(x.value, exponent.value); }
  friend Real sqrt(Real x) { return std::sqrt(x.value); }
  friend Real exp(Real x) { return std::exp(x.value); }
  friend Real expm1(Real x) { return std::expm1(x.value); }
  friend Real log(Real x) { return std::log(x.value); }
  friend Real log1p(Real x) { return std::log1p(x.value); }
  friend Real sin(Real x) { return std::sin(x.value); }
  friend Real cos(Real x) { return std::cos(x.value); }
  friend Real tanh(Real x) { return std::tanh(x.value); }
  friend Real abs(Real x) { return std::abs(x.value); }
};

/// f of a number, `name x` in a formula: for functions that Real has not.
template <class T, class F>
Real<T> scalar(const char*, Real<T> x, F f) {
  return f(x.value);
}
template <class F>
Symbol scalar(const char* name, const Symbol& x, F) {
  return Symbol::application(name, x);
}

/// A number that an op keeps, under the name that dumps and formulas show. Lambdas get it behind their other
/// arguments.
struct NamedConstant {
  const char* name;
  double value;
};

/// In place of a forward kernel: f of every element.
struct ByValue {};
/// In place of a backward kernel: the slope of every element.
struct BySlope {};
/// In place of a backward kernel: the slope as recorded ops, where these have faster kernels than a loop.
struct ByOps {};

namespace detail {

template <class O, class Kind, class Value, class Slope, class Forward, class Backward, std::size_t N>
class Elementwise : public Typed<O, Kind> {
  static_assert(std::is_empty_v<Value> && std::is_empty_v<Slope> && std::is_empty_v<Forward> &&
                    std::is_empty_v<Backward>,
                "the lambdas of an elementwise op capture nothing: pass its numbers as NamedConstants");

 public:
  Elementwise(const char* name, const std::array<NamedConstant, N>& constants, SourceLocation where)
      : name_(name), where_(where), constants_(constants) {}

  const char* name() const final { return name_; }
  Formula formula() const final {
    static const std::string text = [this] {
      const auto symbols = std::apply([](auto... c) { return std::tuple(Symbol(c.name)...); }, constants_);
      const Symbol x("x"), y("y"), dy("dy");
      const auto value = [&](const auto&... c) { return Value{}(x, c...); };
      const auto slope = [&](const auto&... c) { return Slope{}(x, y, dy, c...); };
      return "y = " + std::apply(value, symbols).text() + ";  dx = " + std::apply(slope, symbols).text();
    }();
    return {text.c_str(), where_};
  }
  void attributes(Attributes& a) const final {
    for (const NamedConstant& c : constants_) put(a, c.name, c.value);
  }
  Shape shape(Views in, int) const final { return in[0].shape; }
  Range writable_range(std::size_t, Views, Views) const final { return everything; }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T* x = in[0];
    T* y = out[0];
    const Index n = out.size();
    if constexpr (std::is_same_v<Forward, ByValue>)
      for (Index i = 0; i < n; ++i) y[i] = with_constants(Value{}, Real<T>(x[i])).value;
    else
      Forward{}(x, y, n);
  }

  template <class T>
  requires(!std::is_same_v<Backward, ByOps>) void backward_kernel(RawBackward<T> g) const {
    const T *x = g.x(), *y = g.y(), *dy = g.dy();
    T* dx = g.dx();
    const Index n = g.size();
    if constexpr (std::is_same_v<Backward, BySlope>) {
      const auto slope = [&](Index i) {
        return with_constants(Slope{}, Real<T>(x[i]), Real<T>(y[i]), Real<T>(dy[i])).value;
      };
      if (g.uninitialized())
        for (Index i = 0; i < n; ++i) dx[i] = T(0) + slope(i);
      else
        for (Index i = 0; i < n; ++i) dx[i] += slope(i);
    } else {
      Backward{}(x, dy, dx, n, !g.uninitialized());
    }
  }

 protected:
  ~Elementwise() = default;

  /// f(x..., constants...).
  template <class F, class... X>
  auto with_constants(F f, const X&... x) const {
    return std::apply([&](const auto&... c) { return f(x..., c.value...); }, constants_);
  }

 private:
  const char* name_;
  SourceLocation where_;
  [[no_unique_address]] std::array<NamedConstant, N> constants_;
};

template <class Value, class Slope, class Forward, class Backward, std::size_t N>
struct ElementwisePrimitive final : Elementwise<ElementwisePrimitive<Value, Slope, Forward, Backward, N>,
                                                Primitive, Value, Slope, Forward, Backward, N> {
  using ElementwisePrimitive::Elementwise::Elementwise;
  VarList pullback(const PullbackArgs& p) const override {
    return {this->with_constants(Slope{}, p.inputs[0], p.outputs[0], p.cotangents[0])};
  }
};

template <class Value, class Slope, class Forward, class Backward, std::size_t N>
struct ElementwiseFused final : Elementwise<ElementwiseFused<Value, Slope, Forward, Backward, N>, Fused,
                                            Value, Slope, Forward, Backward, N> {
  using ElementwiseFused::Elementwise::Elementwise;
  VarList define(std::span<const Var> in) const override { return {this->with_constants(Value{}, in[0])}; }
};

}  // namespace detail

/// Records y = value(x), elementwise. `forward(x, y, n)` is a kernel to run in place of `value`;
/// `backward(x, dy, dx, n, accumulate)` one in place of `slope`, which adds to dx or writes it.
template <class Value, class Slope, class Forward = ByValue, class Backward = BySlope>
Var elementwise(const char* name, const Var& x, Value, Slope, Forward = {}, Backward = {},
                SourceLocation where = SourceLocation::current()) {
  using O = detail::ElementwisePrimitive<Value, Slope, Forward, Backward, 0>;
  return apply(O(name, {}, where), {x});
}

/// An elementwise op with constants: value(x, constants...) and slope(x, y, dy, constants...).
template <std::size_t N, class Value, class Slope>
Var elementwise(const char* name, const Var& x, const NamedConstant (&constants)[N], Value, Slope,
                SourceLocation where = SourceLocation::current()) {
  using O = detail::ElementwisePrimitive<Value, Slope, ByValue, BySlope, N>;
  return apply(O(name, std::to_array(constants), where), {x});
}

/// Records y = value(x) as a Fused op: `value` over Vars is its definition.
template <class Value, class Slope, class Forward, class Backward>
Var fused_elementwise(const char* name, const Var& x, Value, Slope, Forward, Backward,
                      SourceLocation where = SourceLocation::current()) {
  using O = detail::ElementwiseFused<Value, Slope, Forward, Backward, 0>;
  return apply(O(name, {}, where), {x});
}

}  // namespace tapegrad
