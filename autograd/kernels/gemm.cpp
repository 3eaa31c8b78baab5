#include <tapegrad/autograd/kernels/gemm_pack.h>
#include <tapegrad/autograd/kernels/packed_gemm.h>
#include <tapegrad/autograd/kernels/variants.h>
#include <tapegrad/autograd/kernels/workspace.h>

// Blocking changes no bit: a product over a block of k goes on from the C that the block before it stored.

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

constexpr Index kBlockK = 256;  // rows of a packed block of B
constexpr Index kBlockN = 512;  // columns packed at once
constexpr Index kGroup = 16;    // row blocks whose A is packed at once
constexpr Index kLevel1Bytes = 32768;

template <class T>
T* scratch(Scratch which, Index count) {
  return static_cast<T*>(workspace(which, static_cast<std::size_t>(count) * sizeof(T)));
}

/// Rows of a block of B: k in equal blocks of at most kBlockK.
Index block_rows(Index k) {
  const Index blocks = (k + kBlockK - 1) / kBlockK;
  return blocks == 0 ? 1 : (k + blocks - 1) / blocks;
}

/// m rows in equal blocks of at most kMaxRows.
struct RowBlocks {
  Index count, low, extra;
  explicit RowBlocks(Index m)
      : count((m + kMaxRows - 1) / kMaxRows), low(count == 1 ? m : m / count), extra(m - low * count) {}
  int rows(Index block) const { return static_cast<int>(low + (block < extra ? 1 : 0)); }
};

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

/// C [m, n] from one column block of B that lies in memory: row p at b + p * ldb.
template <class T>
void multiply_in_place(const Product<T>& x, Index n, Index k, const T* b, Index ldb, const T* bias,
                       bool accumulate, bool rectify) {
  const RowBlocks blocks(x.m);
  for (Index j = 0, columns = 0; j < n; j += columns) {
    columns = next_columns<T>(x.m, n - j);
    const MicroArgs<T> args{k,
                            x.lda,
                            ldb,
                            x.ldc,
                            bias ? bias + j : nullptr,
                            accumulate,
                            Mask<T>((columns - 1) % kWidth<T> + 1),
                            rectify};
    Index i = 0;
    for (Index block = 0; block < blocks.count; ++block) {
      const int rows = blocks.rows(block);
      pick_kernel<T>(rows, columns, x.trans_a)(args, x.a_at(i, 0), b + j, x.c + i * x.ldc + j);
      i += rows;
    }
  }
}

/// C [m, n] from k rows of a block of packed panels, `panel_step` values apart.
template <class T>
void multiply_panels(const Product<T>& x, Index first_k, Index n, Index k, const T* panels, Index panel_step,
                     const T* bias, bool accumulate, bool rectify) {
  const RowBlocks blocks(x.m);
  // Rows of A that lie far apart cost cache sets and pages; copying them pays when many panels read them.
  const bool pack_a = n >= 4 * kPanel<T> && x.lda >= 256 && x.m > 1;
  T* packed_a = pack_a ? scratch<T>(Scratch::gemm_a, min_of(kGroup, blocks.count) * kMaxRows * k) : nullptr;
  Index group_row = 0;
  for (Index group = 0; group < blocks.count; group += kGroup) {
    const Index group_end = min_of(group + kGroup, blocks.count);
    if (pack_a) {
      T* to = packed_a;
      Index i = group_row;
      for (Index block = group; block < group_end; ++block) {
        const int rows = blocks.rows(block);
        if (x.trans_a)
          pack_straight<T>(x.a_at(i, first_k), x.lda, rows, k, to, rows, rows);
        else
          pack_transposed<T>(x.a_at(i, first_k), x.lda, rows, k, to, rows, rows);
        to += rows * k;
        i += rows;
      }
    }
    Index i = group_row;
    for (Index j = 0; j < n; j += kPanel<T>) {
      const Index columns = min_of<Index>(kPanel<T>, n - j);
      const T* panel = panels + j / kPanel<T> * panel_step;
      MicroArgs<T> args{k,
                        x.lda,
                        kPanel<T>,
                        x.ldc,
                        bias ? bias + j : nullptr,
                        accumulate,
                        Mask<T>((columns - 1) % kWidth<T> + 1),
                        rectify};
      const T* from = packed_a;
      i = group_row;
      for (Index block = group; block < group_end; ++block) {
        const int rows = blocks.rows(block);
        T* c = x.c + i * x.ldc + j;
        if (pack_a) {
          args.lda = rows;
          pick_kernel<T>(rows, columns, true)(args, from, panel, c);
          from += rows * k;
        } else {
          pick_kernel<T>(rows, columns, x.trans_a)(args, x.a_at(i, first_k), panel, c);
        }
        i += rows;
      }
    }
    group_row = i;
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
double multiply_add_loop(Index rounds) {
  Vector<T> acc[kMaxRows][kPanelVectors];
  const Vector<T> factor = splat<T>(static_cast<T>(0.5)), term = splat<T>(1);
  TAPEGRAD_UNROLL
  for (int i = 0; i < kMaxRows; ++i) {
    TAPEGRAD_UNROLL
    for (int v = 0; v < kPanelVectors; ++v) acc[i][v] = splat<T>(static_cast<T>(kPanelVectors * i + v));
  }
  for (Index r = 0; r < rounds; ++r) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < kMaxRows; ++i) {
      TAPEGRAD_UNROLL
      for (int v = 0; v < kPanelVectors; ++v) acc[i][v] = fma(acc[i][v], factor, term);
    }
  }
  Vector<T> sum{};
  TAPEGRAD_UNROLL
  for (int i = 0; i < kMaxRows; ++i) {
    TAPEGRAD_UNROLL
    for (int v = 0; v < kPanelVectors; ++v) sum += acc[i][v];
  }
  const double chains = kMaxRows * kPanelVectors * kWidth<T>;
  return 2 * chains * static_cast<double>(rounds) + 0 * static_cast<double>(sum[0]);
}

template <class T>
void multiply(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
              Index ldb, T* c, Index ldc, const T* bias, bool accumulate, bool rectify) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return store_start(m, n, c, ldc, bias, accumulate, rectify);
  Product<T> x{trans_a, m, a, lda, c, ldc};
  const bool reused = m >= 2 * kMaxRows && k * n * Index{sizeof(T)} > kLevel1Bytes && ldb > 2 * kPanel<T>;
  if (!trans_b && !reused) return multiply_in_place(x, n, k, b, ldb, bias, accumulate, rectify);

  // Where every panel is read once, by one block of rows, it goes through a few kilobytes of level-1 cache.
  const bool read_once = m <= kMaxRows;
  const Index rows = read_once ? Index{4096} / (widest(m) * kWidth<T>) : block_rows(k);
  const Index columns = read_once ? widest(m) * kWidth<T> : kBlockN;
  for (Index p = 0; p < k; p += rows) {
    const Index block = min_of(rows, k - p);
    const bool go_on = accumulate || p > 0, last = rectify && p + block == k;
    for (Index j = 0; j < n; j += columns) {
      const Index width = min_of(columns, n - j);
      const T* from = trans_b ? b + j * ldb + p : b + p * ldb + j;
      const T* start = bias && p == 0 ? bias + j : nullptr;
      T* packed = scratch<T>(Scratch::gemm_b, block * round_up(width, kPanel<T>));
      x.c = c + j;
      if (read_once) {
        const Index panel = round_up(width, kWidth<T>);
        pack_panels(trans_b, block, width, from, ldb, packed, panel);
        Product<T> part = x;
        part.a = x.a_at(0, p);
        multiply_in_place(part, width, block, packed, panel, start, go_on, last);
      } else {
        pack_panels(trans_b, block, width, from, ldb, packed);
        multiply_panels(x, p, width, block, packed, block * kPanel<T>, start, go_on, last);
      }
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
Index packed_size(Index k, Index n) {
  return k * round_up(n, kPanel<T>);
}

template <class T>
void pack_b(bool trans_b, Index k, Index n, const T* b, Index ldb, T* packed) {
  const Index rows = block_rows(k);
  for (Index p = 0; p < k; p += rows)
    packed = pack_panels(trans_b, min_of(rows, k - p), n, trans_b ? b + p : b + p * ldb, ldb, packed);
}

template <class T>
void gemm_packed(bool trans_a, Index m, Index n, Index k, const T* a, Index lda, const T* packed,
                 Index packed_k, Index packed_n, T* c, Index ldc, bool accumulate) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return store_start<T>(m, n, c, ldc, nullptr, accumulate, false);
  const Product<T> x{trans_a, m, a, lda, c, ldc};
  const Index rows = block_rows(packed_k);
  for (Index p = 0; p < k; p += rows) {
    const Index block = min_of(rows, packed_k - p);
    multiply_panels<T>(x, p, n, min_of(block, k - p), packed, block * kPanel<T>, nullptr, accumulate || p > 0,
                       false);
    packed += block * round_up(packed_n, kPanel<T>);
  }
}

template <class T>
void fill_gemm(Table<T>& table) {
  table.gemm = &gemm<T>;
  table.gemm_relu = &gemm_relu<T>;
  table.multiply_add_loop = &multiply_add_loop<T>;
}

#define TAPEGRAD_INSTANTIATE(T)                                                                              \
  template void fill_gemm(Table<T>&);                                                                        \
  template void gemm(bool, bool, Index, Index, Index, const T*, Index, const T*, Index, T*, Index, const T*, \
                     bool);                                                                                  \
  template Index packed_size<T>(Index, Index);                                                               \
  template void pack_b(bool, Index, Index, const T*, Index, T*);                                             \
  template void gemm_packed(bool, Index, Index, Index, const T*, Index, const T*, Index, Index, T*, Index,   \
                            bool);
TAPEGRAD_INSTANTIATE(float)
TAPEGRAD_INSTANTIATE(double)
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
