/// Internal: vectors for the sources that are compiled once per instruction set. Everything is in a namespace
/// named after the set, so that the linker never merges code of different sets; std:: templates are avoided
/// for that reason too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

#ifndef TAPEGRAD_ISA  // set by cmake/kernels.cmake; editors without a build see `generic`
#define TAPEGRAD_ISA generic
#endif

#define TAPEGRAD_INLINE inline __attribute__((always_inline))
#define TAPEGRAD_UNROLL _Pragma("GCC unroll 16")

namespace tapegrad::kernels::TAPEGRAD_ISA {

using Index = std::int64_t;

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

/// Lanes of a reduction; see `Pack`.
constexpr int kLanes = 16;

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t Int __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t Unsigned __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t Int __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t Unsigned __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
using IntVector = typename VectorOf<T>::Int;
using VF = Vector<float>;
using VD = Vector<double>;

template <class T>
constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());

template <class T>
TAPEGRAD_INLINE constexpr T min_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
TAPEGRAD_INLINE constexpr T max_of(T a, T b) {
  return a < b ? b : a;
}
TAPEGRAD_INLINE constexpr Index round_up(Index n, Index step) { return (n + step - 1) / step * step; }

template <class T>
TAPEGRAD_INLINE Vector<T> splat(T x) {
  return x - Vector<T>{};  // folds to a broadcast, also of -0
}

template <class T>
TAPEGRAD_INLINE Vector<T> load(const T* p) {
  Vector<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
TAPEGRAD_INLINE void store(T* p, Vector<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// a * b + c: fused, except in the generic variant.
#if defined(__AVX512F__)
// Some intrinsics are used in their masked form with all lanes live, because GCC 12 warns falsely about the
// plain form.
TAPEGRAD_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
TAPEGRAD_INLINE VD fma(VD a, VD b, VD c) { return (VD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
TAPEGRAD_INLINE VF sqrt(VF a) { return (VF)_mm512_maskz_sqrt_ps(0xffff, (__m512)a); }
TAPEGRAD_INLINE VD sqrt(VD a) { return (VD)_mm512_maskz_sqrt_pd(0xff, (__m512d)a); }
#elif defined(__AVX2__) && defined(__FMA__)
TAPEGRAD_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
TAPEGRAD_INLINE VD fma(VD a, VD b, VD c) { return (VD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
TAPEGRAD_INLINE VF sqrt(VF a) { return (VF)_mm256_sqrt_ps((__m256)a); }
TAPEGRAD_INLINE VD sqrt(VD a) { return (VD)_mm256_sqrt_pd((__m256d)a); }
#else
TAPEGRAD_INLINE VF fma(VF a, VF b, VF c) { return a * b + c; }
TAPEGRAD_INLINE VD fma(VD a, VD b, VD c) { return a * b + c; }
TAPEGRAD_INLINE VF sqrt(VF a) {
  for (int i = 0; i < kWidth<float>; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
TAPEGRAD_INLINE VD sqrt(VD a) {
  for (int i = 0; i < kWidth<double>; ++i) a[i] = __builtin_sqrt(a[i]);
  return a;
}
#endif

/// Scalar a * b + c by this rule.
#if defined(__FMA__)
TAPEGRAD_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TAPEGRAD_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
TAPEGRAD_INLINE float fma(float a, float b, float c) { return a * b + c; }
TAPEGRAD_INLINE double fma(double a, double b, double c) { return a * b + c; }
#endif

/// The first `n` lanes of a vector (all when n >= width, none when n <= 0); the others load as 0 and are not
/// stored.
template <class T>
struct Mask;
#if defined(__AVX512F__)
template <>
struct Mask<float> {
  __mmask16 bits;
  TAPEGRAD_INLINE explicit Mask(Index n)
      : bits(static_cast<__mmask16>(n >= 16  ? 0xffffu
                                    : n <= 0 ? 0u
                                             : (1u << n) - 1u)) {}
  TAPEGRAD_INLINE VF load(const float* p) const { return (VF)_mm512_maskz_loadu_ps(bits, p); }
  TAPEGRAD_INLINE void store(float* p, VF v) const { _mm512_mask_storeu_ps(p, bits, (__m512)v); }
};
template <>
struct Mask<double> {
  __mmask8 bits;
  TAPEGRAD_INLINE explicit Mask(Index n)
      : bits(static_cast<__mmask8>(n >= 8   ? 0xffu
                                   : n <= 0 ? 0u
                                            : (1u << n) - 1u)) {}
  TAPEGRAD_INLINE VD load(const double* p) const { return (VD)_mm512_maskz_loadu_pd(bits, p); }
  TAPEGRAD_INLINE void store(double* p, VD v) const { _mm512_mask_storeu_pd(p, bits, (__m512d)v); }
};
#elif defined(__AVX2__) && defined(__FMA__)
template <>
struct Mask<float> {
  __m256i bits;
  TAPEGRAD_INLINE explicit Mask(Index n)
      : bits(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n > 8   ? 8
                                                                   : n < 0 ? 0
                                                                           : n)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))) {}
  TAPEGRAD_INLINE VF load(const float* p) const { return (VF)_mm256_maskload_ps(p, bits); }
  TAPEGRAD_INLINE void store(float* p, VF v) const { _mm256_maskstore_ps(p, bits, (__m256)v); }
};
template <>
struct Mask<double> {
  __m256i bits;
  TAPEGRAD_INLINE explicit Mask(Index n)
      : bits(_mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3))) {}
  TAPEGRAD_INLINE VD load(const double* p) const { return (VD)_mm256_maskload_pd(p, bits); }
  TAPEGRAD_INLINE void store(double* p, VD v) const { _mm256_maskstore_pd(p, bits, (__m256d)v); }
};
#else
template <class T>
struct Mask {
  Index count;
  TAPEGRAD_INLINE explicit Mask(Index n) : count(min_of<Index>(max_of<Index>(n, 0), kWidth<T>)) {}
  TAPEGRAD_INLINE Vector<T> load(const T* p) const {
    Vector<T> v{};
    for (int i = 0; i < kWidth<T>; ++i)
      if (i < count) v[i] = p[i];
    return v;
  }
  TAPEGRAD_INLINE void store(T* p, Vector<T> v) const {
    for (int i = 0; i < kWidth<T>; ++i)
      if (i < count) p[i] = v[i];
  }
};
#endif

/// Lane by lane a > b ? a : b, and a < b ? a : b; a NaN in `b` stays.
template <class V>
TAPEGRAD_INLINE V vmax(V a, V b) {
  return a > b ? a : b;
}
template <class V>
TAPEGRAD_INLINE V vmin(V a, V b) {
  return a < b ? a : b;
}

#if defined(__AVX512F__)
TAPEGRAD_INLINE VF vmax(VF a, VF b) { return (VF)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
TAPEGRAD_INLINE VD vmax(VD a, VD b) { return (VD)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b); }
TAPEGRAD_INLINE VF vmin(VF a, VF b) { return (VF)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b); }
TAPEGRAD_INLINE VD vmin(VD a, VD b) { return (VD)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b); }
#endif

/// True when a comparison holds in every lane.
template <class T>
TAPEGRAD_INLINE bool all_of(IntVector<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_movepi32_mask((__m512i)v) == 0xffff;
  else
    return _mm512_movepi64_mask((__m512i)v) == 0xff;
#else
  bool all = true;
  for (int i = 0; i < kWidth<T>; ++i) all &= v[i] != 0;
  return all;
#endif
}

/// Lanes `first`, first + 1, ... of the concatenation of a and b.
template <int first, class V, int... lane>
TAPEGRAD_INLINE V shift_lanes(V a, V b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane + first)...);
}
template <class T, int first>
TAPEGRAD_INLINE Vector<T> rotate(Vector<T> v) {
  return shift_lanes<first>(v, v, std::make_integer_sequence<int, kWidth<T>>{});
}

/// Alternating lanes of a and b, beginning with lane `first` of both.
template <int first, class V, int... lane>
TAPEGRAD_INLINE V interleave(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int width = static_cast<int>(sizeof...(lane));
  return __builtin_shufflevector(a, b, (first + lane / 2 + lane % 2 * width)...);
}

/// Transposes a square block held in kWidth<T> vectors, by log2(width) perfect shuffles of its rows.
template <class T>
TAPEGRAD_INLINE void transpose_block(Vector<T> (&rows)[kWidth<T>]) {
  constexpr int width = kWidth<T>;
  constexpr auto lanes = std::make_integer_sequence<int, width>{};
  Vector<T> next[width];
  for (int step = 1; step < width; step *= 2) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < width / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + width / 2], lanes);
      next[2 * i + 1] = interleave<width / 2>(rows[i], rows[i + width / 2], lanes);
    }
    TAPEGRAD_UNROLL
    for (int i = 0; i < width; ++i) rows[i] = next[i];
  }
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
