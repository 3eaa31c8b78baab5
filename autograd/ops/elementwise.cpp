#include "elementwise.h"

#include <numbers>

#include "../kernels/elementwise.h"
#include "elementwise_op.h"

namespace tapegrad {

Var exp(const Var& a) {
  return elementwise(
      "exp", a, [](auto x) { return exp(x); }, [](auto, auto y, auto dy) { return dy * y; },
      [](auto* x, auto* y, Index n) { kernels::exp(x, y, n); });
}

Var log(const Var& a) {
  return elementwise(
      "log", a, [](auto x) { return log(x); }, [](auto x, auto, auto dy) { return dy / x; },
      [](auto* x, auto* y, Index n) { kernels::log(x, y, n); });
}

Var log1p(const Var& a) {
  return elementwise(
      "log1p", a, [](auto x) { return log1p(x); }, [](auto x, auto, auto dy) { return dy / (1 + x); });
}

Var expm1(const Var& a) {
  return elementwise(
      "expm1", a, [](auto x) { return expm1(x); }, [](auto, auto y, auto dy) { return dy * (y + 1); });
}

Var sqrt(const Var& a) {
  return elementwise(
      "sqrt", a, [](auto x) { return sqrt(x); }, [](auto, auto y, auto dy) { return dy / (2 * y); });
}

Var rsqrt(const Var& a) {
  return elementwise(
      "rsqrt", a, [](auto x) { return 1 / sqrt(x); },
      [](auto, auto y, auto dy) { return -0.5 * (dy * y * y * y); });
}

Var square(const Var& a) {
  return elementwise(
      "square", a, [](auto x) { return square(x); }, [](auto x, auto, auto dy) { return 2 * (dy * x); });
}

Var reciprocal(const Var& a) {
  return elementwise(
      "reciprocal", a, [](auto x) { return 1 / x; }, [](auto, auto y, auto dy) { return -(dy * y * y); });
}

Var abs(const Var& a) {
  return elementwise(
      "abs", a, [](auto x) { return abs(x); },
      [](auto x, auto, auto dy) { return where(x > 0, dy, where(x < 0, -dy, 0)); });
}

Var sin(const Var& a) {
  return elementwise(
      "sin", a, [](auto x) { return sin(x); }, [](auto x, auto, auto dy) { return dy * cos(x); });
}

Var cos(const Var& a) {
  return elementwise(
      "cos", a, [](auto x) { return cos(x); }, [](auto x, auto, auto dy) { return -(dy * sin(x)); });
}

namespace {

/// (1 + erf(x / √2)) / 2 in double, without cancellation in the lower tail.
template <class T>
Real<T> normal_distribution(Real<T> x) {
  return 0.5 * std::erfc(static_cast<double>(x.value) * (-1 / std::numbers::sqrt2));
}
Symbol normal_distribution(const Symbol& x) { return (1 + erf(x / sqrt(Symbol(2)))) / 2; }

}  // namespace

Var normal_cdf(const Var& a) {
  return elementwise(
      "normal_cdf", a, [](auto x) { return normal_distribution(x); },
      [](auto x, auto, auto dy) {
        return (std::numbers::inv_sqrtpi / std::numbers::sqrt2) * (dy * exp(-0.5 * square(x)));
      },
      ByValue{}, ByOps{});
}

Var pow(const Var& a, double exponent) {
  return elementwise(
      "pow", a, {{"exponent", exponent}}, [](auto x, auto p) { return pow(x, p); },
      [](auto x, auto, auto dy, auto p) {
        return p == 0 ? 0 * dy : p * (dy * pow(x, p - 1));  // not 0 x^-1, which is NaN at x = 0
      });
}

Var clamp(const Var& a, double low, double high) {
  expects(low <= high, "clamp: low {} must not be above high {}", low, high);
  return elementwise(
      "clamp", a, {{"low", low}, {"high", high}},
      [](auto x, auto least, auto most) { return min(max(x, least), most); },
      [](auto x, auto, auto dy, auto least, auto most) {
        return where(x >= least, where(x <= most, dy, 0), 0);
      });
}

}  // namespace tapegrad
