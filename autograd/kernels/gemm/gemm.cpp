#include "gemm.h"
#include "../workspace.h"
#include "gemm_pack.h"
#include "packed_gemm.h"

// Blocking changes no bit: the product over a block of k continues from the C that the previous block stored.

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

constexpr Index kBlockK = 256;         // rows of a packed block of B
constexpr Index kBlockKLong = 512;     // for A in rows: C is read and stored less often
constexpr Index kBlockBytes = 524288;  // of a packed block, a quarter of a level-2 cache
constexpr Index kBlockInPlace = 1024;  // rows of a block of B that is read in place
constexpr Index kGroupRows = 168;      // rows of C whose A stays in the cache for all panels
constexpr Index kSlabRows = 112;       // as kGroupRows, when A is copied
constexpr Index kLevel1Bytes = 32768;
constexpr Index kFarBytes = 2048;  // a row stride of at least half a page

template <class T>
T* scratch(Scratch which, Index count) {
  return static_cast<T*>(workspace(which, static_cast<std::size_t>(count) * sizeof(T)));
}

/// The size of equal parts of `total` with at most `most` each.
Index equal_parts(Index total, Index most) {
  if (total <= most) return max_of<Index>(total, 1);
  const Index parts = (total + most - 1) / most;
  return (total + parts - 1) / parts;
}

template <class T>
struct Product {
  bool trans_a;
  Index m;
  const T* a;
  Index lda;
  T* c;
  Index ldc;

  const T* a_at(Index i, Index p) const { return trans_a ? a + p * lda + i : a + i * lda + p; }
};

/// A block of op(B). Column j of its row p, where j is the first column of a tile, is at panel(j) + p *
/// ld(j).
template <class T>
struct RightBlock {
  const T* data;
  Index ldb;              // of B in place
  Index packed_rows = 0;  // of packed panels; 0 in place
  Index packed_n = 0;

  const T* panel(Index j) const { return data + (packed_rows > 0 ? j * packed_rows : j); }
  Index ld(Index j) const { return packed_rows > 0 ? panel_width<T>(packed_n - j) : ldb; }
};

/// C [m, n] from k rows of a block of B and the columns of op(A) from first_k on.
template <class T>
void multiply_block(const Product<T>& x, Index first_k, Index n, Index k, const RightBlock<T>& b,
                    const T* bias, bool accumulate, bool rectify) {
  // A^T with a large row stride costs a cache line and often a page for every few values.
  const bool copy_a =
      x.trans_a && x.lda * Index{sizeof(T)} >= kFarBytes && n >= 4 * kPanel<T> && x.m > kMaxRows;
  const Index group = equal_parts(x.m, copy_a ? kSlabRows : kGroupRows);
  const Index slab = round_up(group, kWidth<T>);
  T* copied = copy_a ? scratch<T>(Scratch::gemm_a, slab * k) : nullptr;
  for (Index i = 0; i < x.m; i += group) {
    const Index rows = min_of(group, x.m - i);
    const T* a = x.a_at(i, first_k);
    if (copy_a) pack_straight(a, x.lda, rows, k, copied, slab, round_up(rows, kWidth<T>));
    MicroArgs<T> args{k, copy_a ? slab : x.lda, 0, x.ldc, nullptr, accumulate, Mask<T>(0), rectify};
    for (Index j = 0, columns = 0; j < n; j += columns) {
      columns = next_columns<T>(b.packed_rows > 0 ? kMaxRows : x.m, n - j);
      args.ldb = b.ld(j);
      args.bias = bias ? bias + j : nullptr;
      args.last = Mask<T>((columns - 1) % kWidth<T> + 1);
      RowBlocks<T>(rows, columns, x.trans_a)(args, copy_a ? copied : a, b.panel(j), x.c + i * x.ldc + j);
    }
  }
}

template <class T>
void store_start(Index m, Index n, T* c, Index ldc, const T* bias, bool accumulate, bool rectify) {
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      const T start = bias ? bias[j] : T{0};
      T& to = c[i * ldc + j];
      to = accumulate ? (bias ? to + start : to) : start;
      if (rectify && 0 > to) to = 0;
    }
}

template <class T>
void multiply(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
              Index ldb, T* c, Index ldc, const T* bias, bool accumulate, bool rectify) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return store_start(m, n, c, ldc, bias, accumulate, rectify);
  Product<T> x{trans_a, m, a, lda, c, ldc};
  // Panels that are read once, by one block of rows, are packed into a few kilobytes that stay in level-1
  // cache.
  const bool read_once = trans_b && m <= kMaxRows;
  const bool far = ldb * Index{sizeof(T)} >= kFarBytes && k > kBlockK;
  const bool pack =
      trans_b || (m >= (far ? 64 : 256) && k * n * Index{sizeof(T)} > kLevel1Bytes && ldb > kPanel<T>);
  if (!pack && k <= kBlockInPlace)
    return multiply_block(x, 0, n, k, RightBlock<T>{b, ldb}, bias, accumulate, rectify);
  Index rows = equal_parts(k, !pack ? kBlockInPlace : trans_a ? kBlockK : kBlockKLong), columns = n;
  if (pack) columns = kBlockBytes / Index{sizeof(T)} / rows / kPanel<T> * kPanel<T>;
  if (read_once) {
    columns = next_columns<T>(m, n);
    rows = 4096 / round_up(columns, kWidth<T>);
  }
  T* packed = pack ? scratch<T>(Scratch::gemm_b, rows * round_up(min_of(n, columns), kWidth<T>)) : nullptr;
  for (Index p = 0; p < k; p += rows) {
    const Index block = min_of(rows, k - p);
    const bool go_on = accumulate || p > 0, last = rectify && p + block == k;
    for (Index j = 0; j < n; j += columns) {
      const Index width = min_of(columns, n - j);
      const T* from = trans_b ? b + j * ldb + p : b + p * ldb + j;
      const T* start = bias && p == 0 ? bias + j : nullptr;
      x.c = c + j;
      RightBlock<T> right{from, ldb};
      if (read_once) {
        const Index padded = round_up(width, kWidth<T>);
        pack_transposed(from, ldb, width, block, packed, padded, padded);
        right = {packed, padded};
      } else if (pack) {
        pack_panels(trans_b, block, width, from, ldb, packed);
        right = {packed, 0, block, width};
      }
      multiply_block(x, p, width, block, right, start, go_on, last);
    }
  }
}

}  // namespace

template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b, Index ldb,
          T* c, Index ldc, const T* bias, bool accumulate) {
  multiply(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate, false);
}

template <class T>
void gemm_relu(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
               Index ldb, T* c, Index ldc, const T* bias) {
  multiply(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias, false, true);
}

template <class T>
MicroKernel<T> kernel_for(int rows, Index columns, bool trans_a) {
  return pick_kernel<T>(rows, columns, trans_a);
}

template <class T>
Index packed_size(Index k, Index n) {
  return k * round_up(n, kWidth<T>);
}

template <class T>
void pack_b(bool trans_b, Index k, Index n, const T* b, Index ldb, T* packed) {
  const Index rows = equal_parts(k, kBlockK);
  for (Index p = 0; p < k; p += rows)
    packed = pack_panels(trans_b, min_of(rows, k - p), n, trans_b ? b + p : b + p * ldb, ldb, packed);
}

template <class T>
void gemm_packed(bool trans_a, Index m, Index n, Index k, const T* a, Index lda, const T* packed,
                 Index packed_k, Index packed_n, T* c, Index ldc, bool accumulate) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return store_start<T>(m, n, c, ldc, nullptr, accumulate, false);
  const Product<T> x{trans_a, m, a, lda, c, ldc};
  const Index rows = equal_parts(packed_k, kBlockK);
  for (Index p = 0; p < k; p += rows) {
    const Index block = min_of(rows, packed_k - p);
    multiply_block<T>(x, p, n, min_of(block, k - p), {packed, 0, block, packed_n}, nullptr,
                      accumulate || p > 0, false);
    packed += packed_size<T>(block, packed_n);
  }
}

TAPEGRAD_INSTANTIATE(gemm)
TAPEGRAD_INSTANTIATE(gemm_relu)
TAPEGRAD_INSTANTIATE(kernel_for)
TAPEGRAD_INSTANTIATE(packed_size)
TAPEGRAD_INSTANTIATE(pack_b)
TAPEGRAD_INSTANTIATE(gemm_packed)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
