/// Internal: the register-blocked inner product of gemm.
#pragma once

#include <tapegrad/autograd/kernels/isa.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

#if defined(__AVX512F__)
constexpr int kMaxRows = 14;  // 14 x 2 accumulators, 2 vectors of B, 1 broadcast: 31 of 32 registers
constexpr int kRowsOf4 = 6, kRowsOf8 = 2;  // most rows by 4 and by 8 vectors
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kMaxRows = 6;
constexpr int kRowsOf4 = 2, kRowsOf8 = 1;
#else
constexpr int kMaxRows = 4;
constexpr int kRowsOf4 = 2, kRowsOf8 = 1;
#endif
constexpr int kPanelVectors = 2;

/// Columns of a packed panel.
template <class T>
constexpr int kPanel = kPanelVectors * kWidth<T>;

template <class T>
struct MicroArgs {
  Index k;
  Index lda, ldb, ldc;
  const T* bias;    // of the first column, or null
  bool accumulate;  // start from C
  Mask<T> last;     // live columns of the last vector
  bool rectify;     // store max(., 0)
};

/// C [rows, vectors * width] (+)= A B: element (i, p) of A at a[i * lda + p], or a[p * lda + i] when trans_a;
/// row p of B at b + p * ldb. With `tail` only the columns of `args.last` of the last vector exist.
template <class T, int rows, int vectors, bool tail, bool trans_a>
void micro_kernel(const MicroArgs<T>& args, const T* a, const T* b, T* c) {
  constexpr int width = kWidth<T>;
  const Index k = args.k, lda = args.lda, ldb = args.ldb, ldc = args.ldc;
  const Mask<T> last = args.last;
  const auto get = [&](const T* p, int v) __attribute__((always_inline)) {
    return tail && v == vectors - 1 ? last.load(p + v * width) : load(p + v * width);
  };

  Vector<T> acc[rows][vectors];
  TAPEGRAD_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const Vector<T> start = args.bias ? get(args.bias, v) : Vector<T>{};
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) acc[i][v] = start;
  }
  if (args.accumulate) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) {
      TAPEGRAD_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Vector<T> old = get(c + i * ldc, v);
        acc[i][v] = args.bias ? old + acc[i][v] : old;
      }
    }
  }
  for (Index p = 0; p < k; ++p) {
    Vector<T> row[vectors];
    TAPEGRAD_UNROLL
    for (int v = 0; v < vectors; ++v) row[v] = get(b, v);
    b += ldb;
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) {
      const Vector<T> factor = splat(trans_a ? a[i] : a[i * lda]);
      TAPEGRAD_UNROLL
      for (int v = 0; v < vectors; ++v) acc[i][v] = fma(factor, row[v], acc[i][v]);
    }
    a += trans_a ? lda : 1;
  }
  if (args.rectify) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) {
      TAPEGRAD_UNROLL
      for (int v = 0; v < vectors; ++v) acc[i][v] = vmax(Vector<T>{}, acc[i][v]);
    }
  }
  TAPEGRAD_UNROLL
  for (int i = 0; i < rows; ++i) {
    TAPEGRAD_UNROLL
    for (int v = 0; v < vectors; ++v) {
      T* to = c + i * ldc + v * width;
      if (tail && v == vectors - 1)
        last.store(to, acc[i][v]);
      else
        store(to, acc[i][v]);
    }
  }
}

template <class T>
using MicroKernel = void (*)(const MicroArgs<T>&, const T*, const T*, T*);

template <class T, int vectors, bool tail, bool trans_a, int... row>
TAPEGRAD_INLINE MicroKernel<T> pick_rows(int rows, std::integer_sequence<int, row...>) {
  static constexpr MicroKernel<T> kernels[] = {micro_kernel<T, row + 1, vectors, tail, trans_a>...};
  return kernels[rows - 1];
}

template <class T, int vectors, int max_rows>
TAPEGRAD_INLINE MicroKernel<T> pick_tail(int rows, bool tail, bool trans_a) {
  constexpr auto all = std::make_integer_sequence<int, max_rows>{};
  if (tail)
    return trans_a ? pick_rows<T, vectors, true, true>(rows, all)
                   : pick_rows<T, vectors, true, false>(rows, all);
  return trans_a ? pick_rows<T, vectors, false, true>(rows, all)
                 : pick_rows<T, vectors, false, false>(rows, all);
}

/// Vectors of columns that a kernel for a product of `rows` rows takes at once: few rows need many to keep
/// the multipliers busy, and read rows of B in longer pieces.
TAPEGRAD_INLINE int widest(Index rows) { return rows <= kRowsOf8 ? 8 : rows <= kRowsOf4 ? 4 : kPanelVectors; }

/// Columns of the next step when `left` are: whole vectors by the width of a kernel (8, 4, 2 or 1 vectors).
template <class T>
TAPEGRAD_INLINE Index next_columns(Index rows, Index left) {
  const Index needed = (left + kWidth<T> - 1) / kWidth<T>;
  Index vectors = widest(rows);
  while (vectors > needed) vectors /= 2;
  return min_of(vectors * kWidth<T>, left);
}

/// The kernel for `rows` rows and what next_columns gave.
template <class T>
TAPEGRAD_INLINE MicroKernel<T> pick_kernel(int rows, Index columns, bool trans_a) {
  const bool tail = columns % kWidth<T> != 0;
  if (columns > 4 * kWidth<T>) return pick_tail<T, 8, kRowsOf8>(rows, tail, trans_a);
  if (columns > 2 * kWidth<T>) return pick_tail<T, 4, kRowsOf4>(rows, tail, trans_a);
  if (columns > kWidth<T>) return pick_tail<T, 2, kMaxRows>(rows, tail, trans_a);
  return pick_tail<T, 1, kMaxRows>(rows, tail, trans_a);
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
