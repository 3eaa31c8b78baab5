#include "activation.h"

#include <algorithm>
#include <numbers>

#include "../kernels/elementwise.h"
#include "elementwise.h"
#include "elementwise_op.h"

namespace tapegrad {

Var tanh(const Var& a) {
  return elementwise(
      "tanh", a, [](auto x) { return tanh(x); }, [](auto, auto y, auto dy) { return dy * (1 - square(y)); },
      [](auto* x, auto* y, Index n) { kernels::tanh(x, y, n); });
}

Var sigmoid(const Var& a) {
  return elementwise(
      "sigmoid", a, [](auto x) { return 1 / (1 + exp(-x)); },
      [](auto, auto y, auto dy) { return dy * (y * (1 - y)); },
      [](auto* x, auto* y, Index n) { kernels::sigmoid(x, y, n); });
}

Var relu(const Var& a) {
  return elementwise(
      "relu", a, [](auto x) { return max(x, 0); }, [](auto x, auto, auto dy) { return where(x > 0, dy, 0); },
      [](auto* x, auto* y, Index n) { kernels::relu(x, y, n); },
      [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
        kernels::relu_backward(x, dy, dx, n, accumulate);
      });
}

// ln(1 + e^x) without overflow.
Var softplus(const Var& a) {
  return elementwise(
      "softplus", a, [](auto x) { return max(x, 0) + log1p(exp(-abs(x))); },
      [](auto x, auto, auto dy) { return dy * sigmoid(x); }, ByValue{}, ByOps{});
}

namespace {

template <class T>
void silu_forward(const T* x, T* y, Index n) {
  kernels::sigmoid(x, y, n);
  for (Index i = 0; i < n; ++i) y[i] *= x[i];
}

template <class T>
void silu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  constexpr Index block = 256;
  T s[block];
  for (Index begin = 0; begin < n; begin += block) {
    const Index count = std::min(block, n - begin);
    kernels::sigmoid(x + begin, s, count);
    for (Index i = 0; i < count; ++i)
      dx[begin + i] =
          (accumulate ? dx[begin + i] : T(0)) + dy[begin + i] * (s[i] + x[begin + i] * s[i] * (1 - s[i]));
  }
}

}  // namespace

Var silu(const Var& a) {
  return fused_elementwise(
      "silu", a, [](auto x) { return x * sigmoid(x); },
      [](auto x, auto y, auto dy) {
        const auto s = named("s", sigmoid(x));
        return dy * (s + y * (1 - s));
      },
      [](auto* x, auto* y, Index n) { silu_forward(x, y, n); },
      [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) { silu_backward(x, dy, dx, n, accumulate); });
}

namespace {

/// The density φ of the normal distribution, as the printed slope writes it.
Symbol normal_pdf(const Symbol& x) { return exp(-(square(x) / 2)) / sqrt(2 * Symbol("pi")); }

Var gelu_by_erf(const Var& a) {
  return fused_elementwise(
      "gelu", a, [](auto x) { return x * normal_cdf(x); },
      [](auto x, auto, auto dy) { return dy * (normal_cdf(x) + x * normal_pdf(x)); },
      [](auto* x, auto* y, Index n) { kernels::gelu(x, y, n); },
      [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
        kernels::gelu_backward(x, dy, dx, n, accumulate);
      });
}

// x (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³) is x sigmoid(2 u), which does not cancel where u is
// far below 0.
Var gelu_by_tanh(const Var& a) {
  constexpr double twice = 2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  return fused_elementwise(
      "gelu_tanh", a, [](auto x) { return x * sigmoid(x * affine(square(x), 0.044715 * twice, twice)); },
      [](auto x, auto, auto dy) {
        const auto s = named("s", sigmoid(x * affine(square(x), 0.044715 * twice, twice)));
        return dy * (s + x * s * (1 - s) * affine(square(x), 3 * 0.044715 * twice, twice));
      },
      [](auto* x, auto* y, Index n) { kernels::gelu_tanh(x, y, n); },
      [](auto* x, auto* dy, auto* dx, Index n, bool accumulate) {
        kernels::gelu_tanh_backward(x, dy, dx, n, accumulate);
      });
}

}  // namespace

Var gelu(const Var& x) { return gelu(x, Gelu::erf); }
Var gelu(const Var& x, Gelu form) { return form == Gelu::erf ? gelu_by_erf(x) : gelu_by_tanh(x); }

}  // namespace tapegrad
