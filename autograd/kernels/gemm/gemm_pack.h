/// Internal: copies operands into the order in which the inner product of gemm reads them.
#pragma once

#include "gemm_micro.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// columns[j][i] = src[i * ld + j], a square block.
template <class T>
TAPEGRAD_INLINE void load_transposed(const T* src, Index ld, Vector<T> (&columns)[kWidth<T>]) {
  TAPEGRAD_UNROLL
  for (int i = 0; i < kWidth<T>; ++i) columns[i] = load(src + i * ld);
  transpose_block<T>(columns);
}

#if defined(__AVX512F__)
/// Loads quarters of rows i, i + 4, i + 8 and i + 12 into one vector. Only 4 x 4 blocks inside the quarters
/// remain to be transposed, with half the shuffles of the general version.
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

/// dst[p * ld_dst + j] = src[j * ld_src + p], a square block.
template <class T>
TAPEGRAD_INLINE void transpose_into(const T* src, Index ld_src, T* dst, Index ld_dst) {
  Vector<T> block[kWidth<T>];
  load_transposed(src, ld_src, block);
  TAPEGRAD_UNROLL
  for (int i = 0; i < kWidth<T>; ++i) store(dst + i * ld_dst, block[i]);
}

#if defined(__AVX512F__)
/// Uses half vectors, in pieces of 4 rows of the result: shuffles of whole vectors run on one port only.
TAPEGRAD_INLINE void transpose_into(const float* src, Index ld_src, float* dst, Index ld_dst) {
  for (int j = 0; j < 16; j += 8) {
    TAPEGRAD_UNROLL
    for (int p = 0; p < 16; p += 4) {
      __m256 row[4], pair[4];
      TAPEGRAD_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float* at = src + (j + i) * ld_src + p;
        const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(at));
        row[i] = _mm256_insertf128_ps(low, _mm_loadu_ps(at + 4 * ld_src), 1);
      }
      TAPEGRAD_UNROLL
      for (int i = 0; i < 4; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
      }
      TAPEGRAD_UNROLL
      for (int i = 0; i < 2; ++i) {
        const __m256d low = _mm256_castps_pd(pair[i]), high = _mm256_castps_pd(pair[i + 2]);
        float* to = dst + (p + 2 * i) * ld_dst + j;
        _mm256_storeu_ps(to, _mm256_castpd_ps(_mm256_unpacklo_pd(low, high)));
        _mm256_storeu_ps(to + ld_dst, _mm256_castpd_ps(_mm256_unpackhi_pd(low, high)));
      }
    }
  }
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
      if (j + width <= columns && p + width <= k) {
        transpose_into(from, ld_src, to, ld_dst);
      } else {
        Vector<T> block[width];
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
  const Index whole = columns / width * width;
  const Mask<T> last(columns - whole);
  for (Index p = 0; p < k; ++p) {
    for (Index j = 0; j < whole; j += width) store(dst + p * ld_dst + j, load(src + p * ld_src + j));
    if (whole < padded) store(dst + p * ld_dst + whole, last.load(src + p * ld_src + whole));
  }
}

/// Columns of the next panel when `left` columns remain.
template <class T>
TAPEGRAD_INLINE Index panel_width(Index left) {
  return min_of<Index>(kPanel<T>, round_up(left, kWidth<T>));
}

/// Packs one block of rows of op(B) [k, n] into panels and returns the end of the output.
template <class T>
T* pack_panels(bool trans_b, Index k, Index n, const T* b, Index ldb, T* to) {
  for (Index j = 0; j < n; j += kPanel<T>) {
    const Index columns = min_of<Index>(kPanel<T>, n - j), width = panel_width<T>(n - j);
    if (trans_b)
      pack_transposed(b + j * ldb, ldb, columns, k, to, width, width);
    else
      pack_straight(b + j, ldb, columns, k, to, width, width);
    to += k * width;
  }
  return to;
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
