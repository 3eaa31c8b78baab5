/// Internal: exp and functions built on it, on whole vectors. They are branch-free, so that a value has equal
/// bits in every lane, in bodies and in tails. Float polynomials are Chebyshev fits made for this file; their
/// errors are given relative to the result.
#pragma once

#include "isa.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Horner's rule; coefficients from the highest power down.
template <class V, class T, int count>
TAPEGRAD_INLINE V polynomial(V x, const T (&coefficients)[count]) {
  V y = coefficients[0] - V{};
  TAPEGRAD_UNROLL
  for (int i = 1; i < count; ++i) y = fma(y, x, coefficients[i] - V{});
  return y;
}

/// y * 2^n for n in [-1076, 1024] (float: [-150, 128]), rounded once; n are the integer bits of a vector.
template <class T>
TAPEGRAD_INLINE Vector<T> scale_by_power(Vector<T> y, typename VectorOf<T>::Unsigned n) {
  using Unsigned = typename VectorOf<T>::Unsigned;
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits bias = sizeof(T) == 4 ? 127 : 1023;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const Unsigned half = ((n + static_cast<Bits>(2048)) >> 1) - static_cast<Bits>(1024);
  const auto first = (half + bias) << mantissa;
  const auto second = (n - half + bias) << mantissa;
  return y * (Vector<T>)first * (Vector<T>)second;
}

/// 1 ulp. exp(-inf) = 0, overflow gives inf, NaN passes, subnormal results are rounded once.
TAPEGRAD_INLINE VF exp(VF x) {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  constexpr float kSeries[] = {0.00139262033616f, 0.00836319488242f, 0.0416665544984f, 0.166665768946f,
                               0.5f};  // 8e-9
  x = vmin(splat(89.0f), vmax(splat(-104.0f), x));
  const VF shifted = fma(x, splat(1.44269504f), splat(kRound));
  const VF n = shifted - kRound;
  const VF r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
  const VF y = fma(r * r, polynomial(r, kSeries), r) + 1.0f;
#if defined(__AVX512F__)
  return (VF)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512)n);
#else
  using Unsigned = VectorOf<float>::Unsigned;
  return scale_by_power<float>(y, (Unsigned)shifted - (Unsigned)splat(kRound));
#endif
}

/// 1 ulp; the Taylor series to r^13.
TAPEGRAD_INLINE VD exp(VD x) {
  constexpr double kRound = 0x1.8p52;
  constexpr double kSeries[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2};
  x = vmin(splat(710.0), vmax(splat(-746.0), x));
  const VD shifted = fma(x, splat(1.4426950408889634), splat(kRound));
  const VD n = shifted - kRound;
  const VD r = fma(n, splat(-1.90821492927058770e-10), fma(n, splat(-0x1.62e42feep-1), x));
  const VD y = fma(r * r, polynomial(r, kSeries), r) + 1.0;
#if defined(__AVX512F__)
  return (VD)_mm512_maskz_scalef_pd(0xff, (__m512d)y, (__m512d)n);
#else
  using Unsigned = VectorOf<double>::Unsigned;
  return scale_by_power<double>(y, (Unsigned)shifted - (Unsigned)splat(kRound));
#endif
}

template <class V>
TAPEGRAD_INLINE V abs(V x) {
  return x < 0 ? -x : x;
}

/// A scalar function of the C library, lane by lane.
#define TAPEGRAD_BY_LANE(name, of_float, of_double)                  \
  TAPEGRAD_INLINE VF name(VF x) {                                    \
    for (int i = 0; i < kWidth<float>; ++i) x[i] = of_float(x[i]);   \
    return x;                                                        \
  }                                                                  \
  TAPEGRAD_INLINE VD name(VD x) {                                    \
    for (int i = 0; i < kWidth<double>; ++i) x[i] = of_double(x[i]); \
    return x;                                                        \
  }
TAPEGRAD_BY_LANE(log, __builtin_logf, __builtin_log)
TAPEGRAD_BY_LANE(tanh_by_lane, __builtin_tanhf, __builtin_tanh)
TAPEGRAD_BY_LANE(erfc_by_lane, __builtin_erfcf, __builtin_erfc)
#undef TAPEGRAD_BY_LANE

/// 1 / (1 + exp(-x)).
template <class V>
TAPEGRAD_INLINE V sigmoid(V x) {
  return 1 / (1 + exp(-x));
}

TAPEGRAD_INLINE VD tanh(VD x) { return tanh_by_lane(x); }

/// Near 0 an odd polynomial, elsewhere 1 - 2 / (exp(2 |x|) + 1).
TAPEGRAD_INLINE VF tanh(VF x) {
  constexpr float kSeries[] = {0.00226950168416f, -0.00832318705828f, 0.0217625029074f,
                               -0.0539584616275f, 0.133333001462f,    -0.333333331494f};  // 7e-10
  const VF z = x * x;
  const VF small = fma(x * z, polynomial(z, kSeries), x);
  const VF size = abs(x);
  const VF large = 1.0f - 2.0f / (exp(size + size) + 1.0f);
  return size < 0.625f ? small : x < 0.0f ? -large : large;
}

/// The normal distribution: distribution function and density.
template <class V>
struct Normal {
  V cdf, pdf;
};

TAPEGRAD_INLINE Normal<VD> normal(VD x) {
  return {0.5 * erfc_by_lane(x * -0.70710678118654752440), 0.39894228040143267794 * exp(-0.5 * x * x)};
}

/// Phi(-a) = exp(-a^2 / 2) * P((a - 3.5) / (a + 3.5)) / (a + 3.5), which stays relatively exact in the lower
/// tail.
TAPEGRAD_INLINE Normal<VF> normal(VF x) {
  constexpr float kSeries[] = {0.000126228366065f, 0.000448826994147f, -0.000495751577504f,
                               -0.00319467421329f, 0.00648935791179f,  0.0174109752647f,
                               -0.116052172717f,   0.315424671852f,    -0.565561783303f,
                               0.744416079329f};  // 1.3e-8
  const VF a = vmin(splat(15.0f), abs(x));
  const VF square = a * a;
  const VF rest = fma(a, a, -square);
  const VF e = exp(-0.5f * square);
  const VF density = fma(e, -0.5f * rest, e);
  const VF inverse = 1.0f / (a + 3.5f);
  const VF tail = density * (polynomial((a - 3.5f) * inverse, kSeries) * inverse);
  return {x < 0.0f ? tail : 1.0f - tail, 0.3989422804f * density};
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
