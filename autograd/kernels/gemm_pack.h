/// Internal: copies of operands in the order in which the inner product of gemm reads them.
#pragma once

#include <tapegrad/autograd/kernels/gemm_micro.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// columns[j][i] = src[i * ld + j], a square block.
template <class T>
TAPEGRAD_INLINE void load_transposed(const T* src, Index ld, Vector<T> (&columns)[kWidth<T>]) {
  TAPEGRAD_UNROLL
  for (int i = 0; i < kWidth<T>; ++i) columns[i] = load(src + i * ld);
  transpose_block<T>(columns);
}

#if defined(__AVX512F__)
/// Quarters of rows i, i + 4, i + 8 and i + 12 meet in one vector as they are loaded; what is left are 4 x 4
/// blocks inside the quarters, half the shuffles of the general way.
template <class Row>
TAPEGRAD_INLINE void load_transposed(Row row_at, VF (&columns)[16]) {
  TAPEGRAD_UNROLL
  for (int quarter = 0; quarter < 4; ++quarter) {
    __m512 row[4], pair[4];
    TAPEGRAD_UNROLL
    for (int i = 0; i < 4; ++i) {
      row[i] = _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(row_at(i) + 4 * quarter));
      row[i] = _mm512_mask_broadcast_f32x4(row[i], 0x00f0, _mm_loadu_ps(row_at(i + 4) + 4 * quarter));
      row[i] = _mm512_mask_broadcast_f32x4(row[i], 0x0f00, _mm_loadu_ps(row_at(i + 8) + 4 * quarter));
      row[i] = _mm512_mask_broadcast_f32x4(row[i], 0xf000, _mm_loadu_ps(row_at(i + 12) + 4 * quarter));
    }
    TAPEGRAD_UNROLL
    for (int i = 0; i < 2; ++i) {
      pair[2 * i] = _mm512_maskz_unpacklo_ps(0xffff, row[2 * i], row[2 * i + 1]);
      pair[2 * i + 1] = _mm512_maskz_unpackhi_ps(0xffff, row[2 * i], row[2 * i + 1]);
    }
    TAPEGRAD_UNROLL
    for (int i = 0; i < 2; ++i) {
      const __m512d low = _mm512_castps_pd(pair[i]), high = _mm512_castps_pd(pair[i + 2]);
      columns[4 * quarter + 2 * i] = (VF)_mm512_maskz_unpacklo_pd(0xff, low, high);
      columns[4 * quarter + 2 * i + 1] = (VF)_mm512_maskz_unpackhi_pd(0xff, low, high);
    }
  }
}
TAPEGRAD_INLINE void load_transposed(const float* src, Index ld, VF (&columns)[16]) {
  load_transposed(
      [=](int i) __attribute__((always_inline)) { return src + i * ld; }, columns);
}
#endif

/// dst[p * ld_dst + j] = src[j * ld_src + p] for j < columns, p < k; zeros in columns up to `padded`.
template <class T>
void pack_transposed(const T* src, Index ld_src, Index columns, Index k, T* dst, Index ld_dst, Index padded) {
  constexpr int width = kWidth<T>;
  for (Index j = 0; j < padded; j += width) {
    const Mask<T> row_mask(padded - j);
    for (Index p = 0; p < k; p += width) {
      const T* from = src + j * ld_src + p;
      T* to = dst + p * ld_dst + j;
      Vector<T> block[width];
      if (j + width <= columns && p + width <= k) {
        load_transposed(from, ld_src, block);
        TAPEGRAD_UNROLL
        for (int i = 0; i < width; ++i) store(to + i * ld_dst, block[i]);
      } else {
        const Mask<T> mask(k - p);
        TAPEGRAD_UNROLL
        for (int i = 0; i < width; ++i)
          block[i] = j + i < columns ? mask.load(from + i * ld_src) : Vector<T>{};
        transpose_block<T>(block);
        TAPEGRAD_UNROLL
        for (int i = 0; i < width; ++i)
          if (p + i < k) row_mask.store(to + i * ld_dst, block[i]);
      }
    }
  }
}

/// dst[p * ld_dst + j] = src[p * ld_src + j] for j < columns, p < k; zeros in columns up to `padded`.
template <class T>
void pack_straight(const T* src, Index ld_src, Index columns, Index k, T* dst, Index ld_dst, Index padded) {
  constexpr int width = kWidth<T>;
  for (Index j = 0; j < padded; j += width) {
    const Mask<T> from(columns - j), to(padded - j);
    for (Index p = 0; p < k; ++p) {
      if (j + width <= columns)
        store(dst + p * ld_dst + j, load(src + p * ld_src + j));
      else
        to.store(dst + p * ld_dst + j, from.load(src + p * ld_src + j));
    }
  }
}

/// One block of rows of op(B) [k, n] into panels; returns the end of what it wrote.
template <class T>
T* pack_panels(bool trans_b, Index k, Index n, const T* b, Index ldb, T* to, Index panel = kPanel<T>) {
  for (Index j = 0; j < n; j += panel, to += k * panel) {
    const Index columns = min_of(panel, n - j);
    const Index padded = round_up(columns, kWidth<T>);
    if (trans_b)
      pack_transposed(b + j * ldb, ldb, columns, k, to, panel, padded);
    else
      pack_straight(b + j, ldb, columns, k, to, panel, padded);
  }
  return to;
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
