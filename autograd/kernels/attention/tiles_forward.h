/// Internal: the forward pass of long attention. A block of queries has whole rows of scores, which stay in
/// level-2 cache; products go block by block of keys, so that what they read stays in level-1 cache.
#pragma once

#include "tiles.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
class ForwardTiles {
 public:
  explicit ForwardTiles(const AttentionArgs<T>& args)
      : args_(args),
        dropout_(args.dropout, args.dropout_key),
        ld_(round_up(args.head_dim, kLanes)),
        value_ld_(round_up(args.value_dim, kLanes)),
        score_ld_(round_up(args.key_len, kLanes) + kLanes),
        pack_values_(args.query_len > kMaxRows),
        rows_(min_of(args.key_len > kManyKeys ? kBlockQueries / 2 : kBlockQueries, args.query_len)),
        key_step_(round_up(packed_size<T>(args.head_dim, kTileKeys), kLanes)),
        value_step_(round_up(packed_size<T>(kTileKeys, args.value_dim), kLanes)) {
    const Index blocks = (args.key_len + kTileKeys - 1) / kTileKeys;
    Parts<T> head(Scratch::keys, blocks * (key_step_ + value_step_) + rows_ * (ld_ + value_ld_));
    keys_ = head.take(blocks * key_step_);
    values_ = head.take(blocks * value_step_);
    query_ = head.take(rows_ * ld_);
    out_ = head.take(rows_ * value_ld_);
    scores_ = Parts<T>(Scratch::scores, rows_ * score_ld_).take(rows_ * score_ld_);
  }

  void head(Index b, Index h) {
    const Place top{b, h, 0};
    const HeadRows<const T> query(args_.query, args_.query_strides, top, args_.head_dim);
    const HeadRows<T> out(args_.out, args_.out_strides, top, args_.value_dim);
    packed_ = 0;
    for (Index q = 0; q < args_.query_len; q += rows_) {
      const Index rows = min_of(rows_, args_.query_len - q), next = q + rows;
      query.copy_to(q, rows, query_, ld_);
      query.prefetch(next, min_of(rows_, args_.query_len - next));
      out.prefetch(q, rows);
      block({b, h, q}, rows);
      out.copy_from(out_, value_ld_, q, rows);
    }
  }

 private:
  static constexpr Index kBlockQueries = 48;
  static constexpr Index kManyKeys = 4096;  // whose scores with a block of queries fill half of the cache

  /// Packs keys and values up to number n.
  void pack(Place at, Index n) {
    const Place top{at.b, at.h, 0};
    const HeadRows<const T> key(args_.key, args_.key_strides, top, args_.head_dim),
        value(args_.value, args_.value_strides, top, args_.value_dim);
    const Index keys = allowed_keys(args_, at.b, args_.query_len - 1);
    for (; packed_ < n; packed_ += kTileKeys) {
      const Index count = min_of(kTileKeys, keys - packed_), block = packed_ / kTileKeys;
      pack_b(true, args_.head_dim, count, key.data + packed_ * key.stride, key.stride,
             keys_ + block * key_step_);
      if (pack_values_)
        pack_b(false, count, args_.value_dim, value.data + packed_ * value.stride, value.stride,
               values_ + block * value_step_);
      const Index next = packed_ + count, some = min_of(kTileKeys, keys - next);
      key.prefetch(next, some);
      value.prefetch(next, some);
    }
  }

  /// Calls product(first row, rows, keys) for the queries of a block and keys first, first + 1, ...: all at
  /// once, or few by few where some see fewer keys.
  template <class Product>
  void each_product(Place at, Index rows, Index first, Index count, Product product) const {
    const auto seen = [&](Index i) {
      return min_of(max_of<Index>(allowed_keys(args_, at.b, at.q + i) - first, 0), count);
    };
    const Index step = seen(0) < count ? kEdgeRows : rows;
    for (Index i = 0; i < rows; i += step) {
      const Index some = min_of(step, rows - i);
      product(i, some, seen(i + some - 1));
    }
  }

  void block(Place at, Index rows) {
    const Index keys = allowed_keys(args_, at.b, args_.query_len - 1),
                n = allowed_keys(args_, at.b, at.q + rows - 1);
    pack(at, n);
    for (Index j = 0; j < n; j += kTileKeys) {
      const Index count = min_of(kTileKeys, keys - j);
      each_product(at, rows, j, min_of(count, n - j), [&](Index i, Index some, Index seen) {
        gemm_packed(false, some, round_up(seen, kWidth<T>), args_.head_dim, query_ + i * ld_, ld_,
                    keys_ + j / kTileKeys * key_step_, args_.head_dim, count, scores_ + i * score_ld_ + j,
                    score_ld_, false);
      });
    }
    for (Index i = 0; i < rows; ++i) weigh({at.b, at.h, at.q + i}, scores_ + i * score_ld_, n);
    const T* value = args_.value + Place{at.b, at.h, 0}.in(args_.value_strides);
    const Index value_stride = args_.value_strides.row;
    if (n == 0) __builtin_memset(out_, 0, static_cast<std::size_t>(rows * value_ld_) * sizeof(T));
    for (Index j = 0; j < n; j += kTileKeys) {
      const Index count = min_of(kTileKeys, keys - j);
      each_product(at, rows, j, min_of(count, n - j), [&](Index i, Index some, Index seen) {
        const T* weights = scores_ + i * score_ld_ + j;
        T* out = out_ + i * value_ld_;
        if (pack_values_)
          gemm_packed(false, some, args_.value_dim, seen, weights, score_ld_,
                      values_ + j / kTileKeys * value_step_, count, args_.value_dim, out, value_ld_, j > 0);
        else
          gemm<T>(false, false, some, args_.value_dim, seen, weights, score_ld_, value + j * value_stride,
                  value_stride, out, value_ld_, nullptr, j > 0);
      });
    }
  }

  /// A row of products to dropped-out weights; zeros behind them up to n.
  void weigh(Place at, T* s, Index n) const {
    const Index row = at.row(args_), allowed = allowed_keys(args_, at.b, at.q);
    const RowScale<T> scale = softmax_row(scores_of(args_, at, s, allowed), s, allowed);
    zero_blocks(s, allowed, n);
    if (args_.row_max) args_.row_max[row] = scale.max;
    if (args_.row_inverse_sum) args_.row_inverse_sum[row] = scale.inverse_sum;
    if (args_.weights) write_weights(args_.weights + row * args_.key_len, s, allowed);
    if (args_.dropout > 0) drop_row(args_, dropout_, row, s, s, allowed);
  }

  void write_weights(T* to, const T* s, Index n) const {
    __builtin_memcpy(to, s, static_cast<std::size_t>(n) * sizeof(T));
    for (Index j = n; j < args_.key_len; ++j) to[j] = 0;
  }

  const AttentionArgs<T>& args_;
  const Dropout<T> dropout_;
  const Index ld_, value_ld_, score_ld_;
  const bool pack_values_;             // where several rows of queries read them
  const Index rows_;                   // of a block of queries
  const Index key_step_, value_step_;  // from one block of keys to the next
  T *keys_, *values_;                  // of one head, packed by blocks: key^T, value
  T *query_, *out_, *scores_;          // of one block of queries
  Index packed_ = 0;                   // keys
};

template <class T>
void attention_forward_tiles(const AttentionArgs<T>& args) {
  ForwardTiles<T> tiles(args);
  for (Index b = 0; b < args.batch; ++b)
    for (Index h = 0; h < args.heads; ++h) tiles.head(b, h);
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
