/// Internal: the register-blocked inner product of gemm.
#pragma once

#include "../simd/isa.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Tiles of C: kTileRows[v] is the most rows of a tile v vectors wide, 0 where there is no such tile. A tile
/// of kPanelVectors fits most products: a wider tile loads fewer values per multiply-add. Narrower tiles are
/// for the last columns, wider tiles for products of few rows, which need many columns to keep the
/// multipliers busy.
#if defined(__AVX512F__)
// 6 x 4 accumulators, 4 vectors of B, broadcasts in the 4 that are left.
constexpr int kTileRows[] = {0, 14, 14, 8, 6, 0, 0, 0, 2};
constexpr int kPanelVectors = 4;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kTileRows[] = {0, 6, 6, 0, 2, 0, 0, 0, 1};
constexpr int kPanelVectors = 2;
#else
constexpr int kTileRows[] = {0, 4, 4, 0, 2, 0, 0, 0, 1};
constexpr int kPanelVectors = 2;
#endif
constexpr int kMaxRows = kTileRows[1];
constexpr Index kFewSteps = 96;  // up to here the loop is not unrolled: small products profit from small code

/// Columns of a packed panel.
template <class T>
constexpr int kPanel = kPanelVectors* kWidth<T>;

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
  const Index lda = args.lda, ldb = args.ldb;
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
  // Walks C by a running pointer; otherwise the compiler spills the addresses of all rows to memory.
  T* old = c;
  if (args.accumulate) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) {
      TAPEGRAD_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Vector<T> value = get(old, v);
        acc[i][v] = args.bias ? value + acc[i][v] : value;
      }
      old += args.ldc;
      asm("" : "+r"(old));
    }
  }
  // One pointer for three rows (the offsets 0, lda and 2 lda need no more registers), opaque to the compiler,
  // which would otherwise keep an offset for each row and reload most of them at every step.
  constexpr int groups = trans_a ? 1 : (rows + 2) / 3;
  const T* group[groups];
  TAPEGRAD_UNROLL
  for (int g = 0; g < groups; ++g) {
    group[g] = a + 3 * g * lda;
    asm("" : "+r"(group[g]));
  }
  const auto step = [&](Index at) __attribute__((always_inline)) {
    Vector<T> row[vectors];
    TAPEGRAD_UNROLL
    for (int v = 0; v < vectors; ++v) row[v] = get(b + at * ldb, v);
    TAPEGRAD_UNROLL
    for (int i = 0; i < rows; ++i) {
      const Vector<T> factor = splat(trans_a ? group[0][at * lda + i] : group[i / 3][i % 3 * lda + at]);
      TAPEGRAD_UNROLL
      for (int v = 0; v < vectors; ++v) acc[i][v] = fma(factor, row[v], acc[i][v]);
    }
  };
  const auto advance = [&](Index by) __attribute__((always_inline)) {
    b += by * ldb;
    TAPEGRAD_UNROLL
    for (int g = 0; g < groups; ++g) group[g] += trans_a ? by * lda : by;
  };
  Index k = args.k;
  if (k > kFewSteps)
    for (; k >= 2; k -= 2) {
      step(0);
      step(1);
      advance(2);
    }
  for (; k > 0; --k) {
    step(0);
    advance(1);
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
      if (tail && v == vectors - 1)
        last.store(c + v * width, acc[i][v]);
      else
        store(c + v * width, acc[i][v]);
    }
    c += args.ldc;
    asm("" : "+r"(c));
  }
}

template <class T>
using MicroKernel = void (*)(const MicroArgs<T>&, const T*, const T*, T*);

template <class T, int vectors, bool tail, bool trans_a, int... row>
TAPEGRAD_INLINE MicroKernel<T> pick_rows(int rows, std::integer_sequence<int, row...>) {
  static constexpr MicroKernel<T> kernels[] = {micro_kernel<T, row + 1, vectors, tail, trans_a>...};
  return kernels[rows - 1];
}

template <class T, int vectors>
TAPEGRAD_INLINE MicroKernel<T> pick_tail(int rows, bool tail, bool trans_a) {
  if constexpr (kTileRows[vectors] == 0) {
    return nullptr;
  } else {
    constexpr auto all = std::make_integer_sequence<int, kTileRows[vectors]>{};
    if (tail)
      return trans_a ? pick_rows<T, vectors, true, true>(rows, all)
                     : pick_rows<T, vectors, true, false>(rows, all);
    return trans_a ? pick_rows<T, vectors, false, true>(rows, all)
                   : pick_rows<T, vectors, false, false>(rows, all);
  }
}

/// Columns of the next tile when `left` columns remain, in a product of `rows` rows: whole vectors except for
/// the last.
template <class T>
TAPEGRAD_INLINE Index next_columns(Index rows, Index left) {
  constexpr Index width = kWidth<T>;
  if (left > 7 * width && rows <= kTileRows[8]) return min_of(8 * width, left);
  if (left > 3 * width && (kPanelVectors >= 4 || rows <= kTileRows[4])) return min_of(4 * width, left);
  return min_of(kPanelVectors * width, left);
}

/// The kernel for a tile of `rows` rows and the columns that next_columns gave.
template <class T>
TAPEGRAD_INLINE MicroKernel<T> pick_kernel(int rows, Index columns, bool trans_a) {
  const bool tail = columns % kWidth<T> != 0;
  switch ((columns + kWidth<T> - 1) / kWidth<T>) {
    case 8:
      return pick_tail<T, 8>(rows, tail, trans_a);
    case 4:
      return pick_tail<T, 4>(rows, tail, trans_a);
    case 3:
      return pick_tail<T, 3>(rows, tail, trans_a);
    case 2:
      return pick_tail<T, 2>(rows, tail, trans_a);
    default:
      return pick_tail<T, 1>(rows, tail, trans_a);
  }
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
