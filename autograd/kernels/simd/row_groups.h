/// Internal: reductions of several neighbouring rows at once, with the bits of reducing each row alone.
#pragma once

#include "rows.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Rows that are worked on together.
#if defined(TAPEGRAD_ROW_GROUP)  // another number, for tests
template <class T>
constexpr int kRowGroup = TAPEGRAD_ROW_GROUP;
#elif defined(__AVX512F__)
template <class T>
constexpr int kRowGroup = sizeof(T) == 4 ? 4 : 1;
#else
template <class T>
constexpr int kRowGroup = 1;
#endif

TAPEGRAD_INLINE float inverse_root(float x) { return 1 / __builtin_sqrtf(x); }
TAPEGRAD_INLINE double inverse_root(double x) { return 1 / __builtin_sqrt(x); }

/// A value for each of `rows` rows.
template <class T, int rows>
struct RowValues {
  T value[rows];

  TAPEGRAD_INLINE Vector<T> operator[](int row) const { return splat(value[row]); }
  TAPEGRAD_INLINE void store(T* to) const {
    for (int r = 0; r < rows; ++r) to[r] = value[r];
  }
  template <class F>
  TAPEGRAD_INLINE RowValues map(F f) const {
    RowValues result;
    for (int r = 0; r < rows; ++r) result.value[r] = f(value[r]);
    return result;
  }
};

/// The lanes of as many sums, which start from 0.
template <class T, int rows>
struct RowLanes {
  struct {
    Vector<T> part[kParts<T>] = {};
  } row[rows];

  TAPEGRAD_INLINE RowValues<T, rows> sum() const {
    RowValues<T, rows> result;
    for (int r = 0; r < rows; ++r) {
      Lanes<T> lanes(0);
      TAPEGRAD_UNROLL
      for (int i = 0; i < kParts<T>; ++i) lanes.part[i] = row[r].part[i];
      result.value[r] = lanes.sum();
    }
    return result;
  }
};

#if defined(__AVX512F__)
TAPEGRAD_INLINE VF inverse_root(VF x) { return 1 / sqrt(x); }

/// The value of row r in all four lanes of quarter r.
template <>
struct RowValues<float, 4> {
  VF value;

  TAPEGRAD_INLINE VF operator[](int row) const {
    const __m512 v = (__m512)value;
    switch (row) {
      case 0:
        return (VF)_mm512_maskz_shuffle_f32x4(0xffff, v, v, 0x00);
      case 1:
        return (VF)_mm512_maskz_shuffle_f32x4(0xffff, v, v, 0x55);
      case 2:
        return (VF)_mm512_maskz_shuffle_f32x4(0xffff, v, v, 0xaa);
      default:
        return (VF)_mm512_maskz_shuffle_f32x4(0xffff, v, v, 0xff);
    }
  }
  TAPEGRAD_INLINE void store(float* to) const {
    typedef float Quarter __attribute__((vector_size(16)));
    const Quarter all = __builtin_shufflevector(value, value, 0, 4, 8, 12);
    __builtin_memcpy(to, &all, sizeof all);
  }
  template <class F>
  TAPEGRAD_INLINE RowValues map(F f) const {
    return {f(value)};
  }
};

/// The reduction tree of `Lanes` for four rows: each step packs the partial sums of two rows into one vector.
template <>
struct RowLanes<float, 4> {
  struct {
    VF part[1] = {};
  } row[4];

  TAPEGRAD_INLINE RowValues<float, 4> sum() const {
    const VF half[] = {fold_8(row[0].part[0], row[1].part[0]), fold_8(row[2].part[0], row[3].part[0])};
    VF v =
        __builtin_shufflevector(half[0], half[1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
        __builtin_shufflevector(half[0], half[1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return {v + __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)};
  }

 private:
  TAPEGRAD_INLINE static VF fold_8(VF a, VF b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
};
#endif

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
