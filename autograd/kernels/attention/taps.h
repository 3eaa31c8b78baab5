/// Internal: computes the inner results of attention that an observer reads: scores and weights, their
/// gradients, and the gradients that scores on the path to a loss send back. It runs after a path and apart
/// from it: an element of a product has the same bits in every blocking (gemm.h), so these are the numbers
/// that the paths used, and looking at them changes none. Cells that a mask lets the paths skip are there
/// like all others.
#pragma once

#include "tiles.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
class AttentionTaps {
 public:
  explicit AttentionTaps(const AttentionArgs<T>& args)
      : args_(args),
        dropout_(args.dropout, args.dropout_key),
        rows_(query_block(args)),
        ld_(round_up(args.key_len, kLanes) + kLanes) {
    const Index size = rows_ * ld_, dots = round_up(args.query_len, kLanes) + kLanes,
                lanes = 2 * kLanes * args.value_dim;
    Parts<T> parts(Scratch::scores, 2 * size + dots + lanes);
    w_ = parts.take(size);
    d_ = parts.take(size);
    dot_ = parts.take(dots);
    lanes_ = parts.take(lanes);
  }

  /// args.scores and args.weights.
  void values() {
    each_block([](Place) {},
               [&](Place at, Index rows) {
                 const Index last = allowed_keys(args_, at.b, at.q + rows - 1);
                 products(at, rows, args_.scores ? args_.key_len : last);
                 for (Index i = 0; i < rows; ++i) {
                   const Place here{at.b, at.h, at.q + i};
                   T* s = w_ + i * ld_;
                   if (args_.scores) write_scores(here, s);
                   if (args_.weights) write(row_of(args_.weights, here), s, weigh(here, s));
                 }
               });
  }

  /// Adds the part of grads.dscores to the gradients of query, key and bias, and completes
  /// grads.weights_gradient and grads.scores_gradient.
  void gradients(const AttentionGradients<T>& grads) {
    const bool saved_dot = grads.dout && !grads.dweights;
    const bool cotangents = grads.weights_gradient || grads.scores_gradient;
    each_block(
        [&](Place top) {
          if (saved_dot && grads.scores_gradient)
            dot_rows<T>({args_.out, args_.out_strides, top, args_.value_dim},
                        {grads.dout, grads.dout_strides, top, args_.value_dim}, 0, args_.query_len, lanes_,
                        dot_);
        },
        [&](Place at, Index rows) {
          if (grads.dscores) pass_on(grads, at, rows);
          if (!cotangents) return;
          weight_products(grads, at, rows);
          if (grads.scores_gradient) products(at, rows, allowed_keys(args_, at.b, at.q + rows - 1));
          for (Index i = 0; i < rows; ++i)
            row({at.b, at.h, at.q + i}, grads, w_ + i * ld_, d_ + i * ld_,
                saved_dot ? dot_ + at.q + i : nullptr);
        });
  }

 private:
  /// Calls head(its first query) for every head and block(first query, rows) for its blocks of queries.
  template <class HeadBody, class BlockBody>
  void each_block(HeadBody head, BlockBody block) {
    for (Index b = 0; b < args_.batch; ++b)
      for (Index h = 0; h < args_.heads; ++h) {
        head(Place{b, h, 0});
        for (Index q = 0; q < args_.query_len; q += rows_)
          block(Place{b, h, q}, min_of(rows_, args_.query_len - q));
      }
  }

  template <class U>
  U* row_of(U* all, Place at) const {
    return all + at.row(args_) * args_.key_len;
  }
  const T* key(Place at) const { return args_.key + Place{at.b, at.h, 0}.in(args_.key_strides); }
  const T* query(Place at) const { return args_.query + at.in(args_.query_strides); }

  /// w [rows, n] = query key^T
  void products(Place at, Index rows, Index n) {
    gemm<T>(false, true, rows, n, args_.head_dim, query(at), args_.query_strides.row, key(at),
            args_.key_strides.row, w_, ld_, nullptr, false);
  }

  /// d [rows, key_len] = dout value^T
  void weight_products(const AttentionGradients<T>& grads, Place at, Index rows) {
    if (grads.dout)
      gemm<T>(false, true, rows, args_.key_len, args_.value_dim, grads.dout + at.in(grads.dout_strides),
              grads.dout_strides.row, args_.value + Place{at.b, at.h, 0}.in(args_.value_strides),
              args_.value_strides.row, d_, ld_, nullptr, false);
    else
      __builtin_memset(d_, 0, static_cast<std::size_t>(rows * ld_) * sizeof(T));
  }

  void write_scores(Place at, const T* products) const {
    T* to = row_of(args_.scores, at);
    for (Index j = 0; j < args_.key_len; ++j) to[j] = products[j] * args_.scale;
    if (!args_.bias) return;
    const T* bias = args_.bias + at.in(args_.bias_strides);
    for (Index j = 0; j < args_.key_len; ++j) to[j] += bias[j * args_.bias_strides.key];
  }

  /// Products to weights, of the keys that the query may see; returns how many these are.
  Index weigh(Place at, T* s) const {
    const Index allowed = allowed_keys(args_, at.b, at.q), row = at.row(args_);
    const Scores<T> scores = scores_of(args_, at, s, allowed);
    repeat_softmax_row(scores, s, allowed, {args_.row_max[row], args_.row_inverse_sum[row]});
    return allowed;
  }

  /// n elements, then zeros.
  void write(T* to, const T* from, Index n) const {
    for (Index j = 0; j < args_.key_len; ++j) to[j] = j < n ? from[j] : T{0};
  }

  /// A row of products w and d to what is asked for; `dot` is sum(out * dout), or null where weights have
  /// cotangents of their own.
  void row(Place at, const AttentionGradients<T>& grads, T* w, T* d, const T* dot) const {
    const Index keys = args_.key_len, row = at.row(args_);
    if (grads.dout && args_.dropout > 0) drop_row(args_, dropout_, row, d, d, keys);
    if (grads.dweights) {
      const T* incoming = row_of(grads.dweights, at);
      for (Index j = 0; j < keys; ++j) d[j] += incoming[j];
    }
    if (grads.weights_gradient) write(row_of(grads.weights_gradient, at), d, keys);
    if (!grads.scores_gradient) return;
    const Index allowed = weigh(at, w), live = args_.row_inverse_sum[row] == 0 ? 0 : allowed;
    softmax_row_backward(w, d, live, dot ? *dot : row_dot(w, d, live));
    T* to = row_of(grads.scores_gradient, at);
    const T* incoming = grads.dscores ? row_of(grads.dscores, at) : nullptr;
    for (Index j = 0; j < keys; ++j) to[j] = (j < live ? d[j] : T{0}) + (incoming ? incoming[j] : T{0});
  }

  /// Cotangents of scores that come from elsewhere: these are linear in query, key and bias.
  void pass_on(const AttentionGradients<T>& grads, Place at, Index rows) {
    for (Index i = 0; i < rows; ++i) {
      const Place here{at.b, at.h, at.q + i};
      const T* incoming = row_of(grads.dscores, here);
      for (Index j = 0; j < args_.key_len; ++j) w_[i * ld_ + j] = incoming[j] * args_.scale;
      if (grads.dbias) add_bias_gradient(grads, here, incoming, args_.key_len);
    }
    if (grads.dquery)
      gemm<T>(false, false, rows, args_.head_dim, args_.key_len, w_, ld_, key(at), args_.key_strides.row,
              grads.dquery + at.in(grads.dquery_strides), grads.dquery_strides.row, nullptr, true);
    if (grads.dkey)
      gemm<T>(true, false, args_.key_len, args_.head_dim, rows, w_, ld_, query(at), args_.query_strides.row,
              grads.dkey + Place{at.b, at.h, 0}.in(grads.dkey_strides), grads.dkey_strides.row, nullptr,
              true);
  }

  const AttentionArgs<T>& args_;
  const Dropout<T> dropout_;
  const Index rows_, ld_;      // of a block of queries
  T *w_, *d_, *dot_, *lanes_;  // scratch: [rows, ld] twice, [query_len], [2, value_dim, 16]
};

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
