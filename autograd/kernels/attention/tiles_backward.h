/// Internal: the backward pass of long attention, tile by tile of queries and keys, as in FlashAttention (Dao
/// et al., 2022, arXiv 2205.14135): what a softmax row has to know of all its keys is in the saved maximum
/// and sum and in sum(out * dout), so that no row of scores is ever whole. Sums over queries and over keys
/// run in ascending order, and every number has the bits of the path row by row.
#pragma once

#include "tiles.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Returns true when the tiles path can compute these gradients: none needs whole rows of cotangents, and
/// none shares memory with another.
template <class T>
TAPEGRAD_INLINE bool fits_tiles(const AttentionGradients<T>& grads) {
  const auto apart = [](const T* a, const T* b) { return a != b || !a; };
  return grads.dout && !grads.dweights && !grads.dbias && apart(grads.dquery, grads.dkey) &&
         apart(grads.dquery, grads.dvalue) && apart(grads.dkey, grads.dvalue);
}

/// Scratch of attention_backward_tiles.
template <class T>
struct BackwardScratch {
  Index ld, value_ld;                        // of rows of head_dim and of value_dim
  T *query, *dout, *dquery, *dot;            // of one head, [query_len, ...]
  T* lanes;                                  // [2, value_dim, 16]
  T *key_t, *value_t, *key, *dkey, *dvalue;  // of one block of keys, the first three packed
  T *w, *d;                                  // of one tile, [kTileQueries, kTileLd]
  static constexpr Index kTileQueries = 96;
  static constexpr Index kTileLd = kTileKeys + kLanes;  // a stride that is no power of two

  explicit BackwardScratch(const AttentionArgs<T>& args)
      : ld(round_up(args.head_dim, kLanes)), value_ld(round_up(args.value_dim, kLanes)) {
    const Index rows = args.query_len, lane_size = 2 * kLanes * value_ld;
    const Index key_size = round_up(packed_size<T>(args.head_dim, kTileKeys), kLanes),
                value_size = round_up(packed_size<T>(args.value_dim, kTileKeys), kLanes),
                plain_size = round_up(packed_size<T>(kTileKeys, args.head_dim), kLanes);
    Parts<T> head(Scratch::values, rows * (2 * ld + value_ld) + round_up(rows + kLanes, kLanes) + lane_size);
    query = head.take(rows * ld);
    dout = head.take(rows * value_ld);
    dquery = head.take(rows * ld);
    dot = head.take(rows + kLanes);  // dot_rows writes 16 at a time, from any query on
    lanes = head.take(lane_size);
    Parts<T> block(Scratch::keys, key_size + value_size + plain_size + kTileKeys * (ld + value_ld));
    key_t = block.take(key_size);
    value_t = block.take(value_size);
    key = block.take(plain_size);
    dkey = block.take(kTileKeys * ld);
    dvalue = block.take(kTileKeys * value_ld);
    Parts<T> tile(Scratch::scores, 2 * kTileQueries * kTileLd);
    w = tile.take(kTileQueries * kTileLd);
    d = tile.take(kTileQueries * kTileLd);
  }
};

/// The backward pass of one head. Keys are the outer loop. Rows of queries, cotangents and outputs come in
/// with the first block of keys and are asked for a tile ahead; gradients of queries leave with the last
/// block that they see.
template <class T>
class BackwardHead {
 public:
  BackwardHead(const AttentionArgs<T>& args, const AttentionGradients<T>& grads, const Dropout<T>& dropout,
               const BackwardScratch<T>& scratch, Place head)
      : args_(args),
        grads_(grads),
        dropout_(dropout),
        at_(head),
        s_(scratch),
        query_(args.query, args.query_strides, head, args.head_dim),
        key_(args.key, args.key_strides, head, args.head_dim),
        value_(args.value, args.value_strides, head, args.value_dim),
        out_(args.out, args.out_strides, head, args.value_dim),
        dout_(grads.dout, grads.dout_strides, head, args.value_dim),
        dquery_(grads.dquery, grads.dquery_strides, head, args.head_dim),
        dkey_(grads.dkey, grads.dkey_strides, head, args.head_dim),
        dvalue_(grads.dvalue, grads.dvalue_strides, head, args.value_dim) {}

  void run() {
    const Index queries = args_.query_len, keys = queries > 0 ? allowed_keys(args_, at_.b, queries - 1) : 0;
    Index blind = 0;  // queries that see no key
    while (blind < queries && allowed_keys(args_, at_.b, blind) == 0) ++blind;
    if (grads_.dquery && !grads_.add_to_query)
      zero_rows(grads_.dquery, grads_.dquery_strides, at_, blind, args_.head_dim);
    for (first_ = 0; first_ < keys; first_ += kTileKeys) {
      count_ = min_of(kTileKeys, keys - first_);
      key_block();
    }
    const Place unseen{at_.b, at_.h, keys};
    if (grads_.dkey && !grads_.add_to_key)
      zero_rows(grads_.dkey, grads_.dkey_strides, unseen, args_.key_len, args_.head_dim);
    if (grads_.dvalue && !grads_.add_to_value)
      zero_rows(grads_.dvalue, grads_.dvalue_strides, unseen, args_.key_len, args_.value_dim);
  }

 private:
  /// Keys of the block that query q sees.
  Index seen(Index q) const {
    return min_of(max_of<Index>(allowed_keys(args_, at_.b, q) - first_, 0), count_);
  }

  void key_block() {
    pack_b(true, args_.head_dim, count_, key_.data + first_ * key_.stride, key_.stride, s_.key_t);
    pack_b(false, count_, args_.head_dim, key_.data + first_ * key_.stride, key_.stride, s_.key);
    pack_b(true, args_.value_dim, count_, value_.data + first_ * value_.stride, value_.stride, s_.value_t);
    if (dkey_.data) dkey_.begin_sum(grads_.add_to_key, first_, count_, s_.dkey, s_.ld);
    if (dvalue_.data) dvalue_.begin_sum(grads_.add_to_value, first_, count_, s_.dvalue, s_.value_ld);
    const Index queries = args_.query_len, next = first_ + count_, end = next + kTileKeys;
    Index q = 0, soon = next;
    while (seen(q) == 0) ++q;
    const Index share = (kTileKeys * BackwardScratch<T>::kTileQueries + queries - q - 1) / (queries - q);
    for (Index rows; q < queries; q += rows) {
      rows = min_of(BackwardScratch<T>::kTileQueries, queries - q);
      if (first_ == 0) enter(q, rows);
      const Index some = min_of(min_of(share, end - soon), max_of<Index>(args_.key_len - soon, 0));
      key_.prefetch(soon, some);
      value_.prefetch(soon, some);
      soon += some;
      const Index done = leaving(q, rows);
      dquery_.prefetch(q, done);
      if (q + rows == queries) {
        dkey_.prefetch(first_, count_);
        dvalue_.prefetch(first_, count_);
      }
      tile(q, rows);
      if (dquery_.data) dquery_.copy_from(s_.dquery + q * s_.ld, s_.ld, q, done);
    }
    if (dkey_.data) dkey_.copy_from(s_.dkey, s_.ld, first_, count_);
    if (dvalue_.data) dvalue_.copy_from(s_.dvalue, s_.value_ld, first_, count_);
  }

  void enter(Index q, Index rows) {
    query_.copy_to(q, rows, s_.query + q * s_.ld, s_.ld);
    dout_.copy_to(q, rows, s_.dout + q * s_.value_ld, s_.value_ld);
    dot_rows(out_, dout_, q, rows, s_.lanes, s_.dot + q);
    if (dquery_.data) dquery_.begin_sum(grads_.add_to_query, q, rows, s_.dquery + q * s_.ld, s_.ld);
    const Index next = q + rows, some = min_of(BackwardScratch<T>::kTileQueries, args_.query_len - next);
    query_.prefetch(next, some);
    dout_.prefetch(next, some);
    out_.prefetch(next, some);
  }

  /// The number of queries, out of `rows` from q on, that see no block behind this one.
  Index leaving(Index q, Index rows) const {
    Index done = 0;
    while (done < rows && allowed_keys(args_, at_.b, q + done) <= first_ + count_) ++done;
    return done;
  }

  /// One tile of queries. When some rows see fewer keys than others, products leave out the blocks that none
  /// of their rows sees.
  void tile(Index q, Index rows) {
    constexpr Index ld = BackwardScratch<T>::kTileLd;
    const Index n = seen(q + rows - 1);
    const bool edge = seen(q) < n;
    const Index step = edge ? kEdgeRows : rows;
    const T* query = s_.query + q * s_.ld;
    const T* dout = s_.dout + q * s_.value_ld;
    for (Index i = 0; i < rows; i += step) {
      const Index some = min_of(step, rows - i), columns = round_up(seen(q + i + some - 1), kWidth<T>);
      gemm_packed(false, some, columns, args_.head_dim, query + i * s_.ld, s_.ld, s_.key_t, args_.head_dim,
                  count_, s_.w + i * ld, ld, false);
      gemm_packed(false, some, columns, args_.value_dim, dout + i * s_.value_ld, s_.value_ld, s_.value_t,
                  args_.value_dim, count_, s_.d + i * ld, ld, false);
    }
    for (Index i = 0; i < rows; ++i) transform_row(q + i, s_.w + i * ld, s_.d + i * ld, n);
    Index i = 0;  // the first row that sees key j
    for (Index j = 0, some = 0; j < n; j += some) {
      some = edge ? min_of(kEdgeRows, n - j) : n;
      while (seen(q + i) <= j) ++i;
      if (dvalue_.data)
        gemm<T>(true, false, some, args_.value_dim, rows - i, s_.w + i * ld + j, ld, dout + i * s_.value_ld,
                s_.value_ld, s_.dvalue + j * s_.value_ld, s_.value_ld, nullptr, true);
      if (dkey_.data)
        gemm<T>(true, false, some, args_.head_dim, rows - i, s_.d + i * ld + j, ld, query + i * s_.ld, s_.ld,
                s_.dkey + j * s_.ld, s_.ld, nullptr, true);
    }
    if (dquery_.data)
      for (i = 0; i < rows; i += step) {
        const Index some = min_of(step, rows - i), k = seen(q + i + some - 1);
        gemm_packed(false, some, args_.head_dim, k, s_.d + i * ld, ld, s_.key, count_, args_.head_dim,
                    s_.dquery + (q + i) * s_.ld, s_.ld, true);
      }
  }

  /// Products w and cotangents d of the dropped-out weights, n of each, to the dropped-out weights and to
  /// cotangents of the products; zeros in keys that the query does not see.
  void transform_row(Index q, T* w, T* d, Index n) const {
    const Place at{at_.b, at_.h, q};
    const Index row = at.row(args_), allowed = seen(q);
    const T max = args_.row_max[row], inverse = args_.row_inverse_sum[row], dot = s_.dot[q],
            scale = args_.scale;
    const bool some = inverse != 0;
    if (some) {
      const Scores<T> scores = scores_of(args_, at, w, allowed, first_);
      const auto each = [&](auto mask, Index j, auto drop) __attribute__((always_inline)) {
        const auto whole = padded(mask);
        const Vector<T> weight = exp(scores.load(whole, w, j) - max) * inverse;
        mask.store(w + j, drop(weight));
        mask.store(d + j, weight * (drop(whole.load(d + j)) - dot) * scale);
      };
      if (args_.dropout > 0) {
        dropout_.for_each(
            allowed, static_cast<std::uint64_t>(row * args_.key_len + first_),
            [&](auto mask, Index j, Vector<T> factor) __attribute__((always_inline)) {
              each(
                  mask, j, [=](Vector<T> v) __attribute__((always_inline)) { return dropped(v, factor); });
            });
      } else {
        for_each_vector<T>(
            allowed, [&](auto mask, Index j) __attribute__((always_inline)) {
              each(
                  mask, j, [](Vector<T> v) __attribute__((always_inline)) { return v; });
            });
      }
    }
    const Index live = some ? allowed : 0;
    for (Index j = live / kWidth<T> * kWidth<T>; j < n; j += kWidth<T>) {
      store(w + j, select_first(live - j, load(w + j), T{0}));
      store(d + j, select_first(live - j, load(d + j), T{0}));
    }
  }

  static TAPEGRAD_INLINE Full<T> padded(Full<T> mask) { return mask; }
  static TAPEGRAD_INLINE PaddedTail<T> padded(const Tail<T>& mask) { return PaddedTail<T>(mask.live); }

  const AttentionArgs<T>& args_;
  const AttentionGradients<T>& grads_;
  const Dropout<T>& dropout_;
  const Place at_;
  const BackwardScratch<T>& s_;
  const HeadRows<const T> query_, key_, value_, out_, dout_;
  const HeadRows<T> dquery_, dkey_, dvalue_;
  Index first_ = 0, count_ = 0;  // the block's first key and their number
};

template <class T>
void attention_backward_tiles(const AttentionArgs<T>& args, const AttentionGradients<T>& grads) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  const BackwardScratch<T> scratch(args);
  for (Index b = 0; b < args.batch; ++b)
    for (Index h = 0; h < args.heads; ++h) BackwardHead<T>(args, grads, dropout, scratch, {b, h, 0}).run();
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
