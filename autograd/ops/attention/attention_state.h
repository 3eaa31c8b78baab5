/// Internal: what the attention ops share.
#pragma once
#include "../../kernels/attention/attention.h"
#include "../../op.h"
#include "mask.h"

namespace tapegrad {

/// Where heads lie: packed side by side in the last axis, or on an axis of their own (then `heads` is
/// unused).
struct HeadLayout {
  bool packed;
  Index heads;
};

/// The extents that query, key and value agree on. Throws when they do not.
struct AttentionExtents {
  Index batch = 1, heads = 1, query, key, dim, value_dim;

  AttentionExtents(const HeadLayout& layout, Views in) : packed(layout.packed), rank(in[0].shape.rank()) {
    const Shape &q = in[0].shape, &k = in[1].shape, &v = in[2].shape;
    const int most = packed ? 3 : 4;
    expects(rank >= 2 && rank <= most && k.rank() == rank && v.rank() == rank,
            "attention: query {}, key {} and value {} must have the "
            "same rank, from 2 to {}: {}",
            q, k, v, most,
            packed ? "[batch, time, heads * dim], or without batch"
                   : "[batch, heads, time, dim], or without heads, or without both");
    for (int i = 0; i < rank - 2; ++i)
      expects(q[i] == k[i] && q[i] == v[i],
              "attention: query {}, key {} and value {} differ in the extent of axis {}, {}", q, k, v, i,
              i == 0 ? "batch" : "heads");
    expects(k[-2] == v[-2], "attention: key {} and value {} differ in the number of keys, axis {}", k, v,
            rank - 2);
    expects(q[-1] == k[-1], "attention: query {} and key {} differ in the last axis", q, k);
    if (packed)
      expects(q[-1] % layout.heads == 0 && v[-1] % layout.heads == 0,
              "attention: {} heads do not divide the last axes of query {} and value {}", layout.heads, q, v);
    if (rank > 2) batch = q[0];
    heads = packed ? layout.heads : rank == 4 ? q[1] : 1;
    query = q[-2];
    key = k[-2];
    dim = packed ? q[-1] / heads : q[-1];
    value_dim = packed ? v[-1] / heads : v[-1];
  }

  Shape scores() const { return {batch, heads, query, key}; }
  Shape context() const {
    if (rank == 2) return {query, packed ? heads * value_dim : value_dim};
    if (packed) return {batch, query, heads * value_dim};
    return rank == 3 ? Shape{batch, query, value_dim} : Shape{batch, heads, query, value_dim};
  }
  /// Of an operand with `width` elements a head and step of time.
  kernels::HeadStrides strides(Index time, Index width) const {
    if (packed) return {time * heads * width, width, heads * width};
    return {heads * time * width, time * width, width};
  }

 private:
  bool packed;
  int rank;
};

inline kernels::ScoreStrides score_strides(const Shape& from, const Shape& scores) {
  const auto s = broadcast_strides(from, scores);
  return {s[0], s[1], s[2], s[3]};
}

/// Attributes that the tape already holds. Results: context, then weights and scores where they are wanted,
/// then what is saved, the maximum and 1 / sum of each row of scores.
struct HeldAttention {
  MaskView mask;
  double dropout = 0;   ///< active
  RandomKey draw = {};  ///< where dropout > 0
  bool weights = false, scores = false;

  int outputs() const { return 1 + (weights ? 1 : 0) + (scores ? 1 : 0); }
  /// Weights and scores lie on the way to the context.
  bool completes(int output) const { return output > 0 && output < outputs(); }
  void attributes(Attributes& list) const {
    if (mask.causal) list.emplace_back("causal_offset", static_cast<double>(mask.causal_offset));
    if (dropout > 0) list.emplace_back("dropout", dropout);
  }

  template <class T>
  void put(kernels::AttentionArgs<T>& args, const Shape& score_shape, Views out) const {
    args.causal = mask.causal;
    args.causal_offset = mask.causal_offset;
    args.key_lengths = mask.lengths.data<std::int64_t>();
    args.keep = mask.keep.data<std::uint8_t>();
    if (mask.keep) args.keep_strides = score_strides(mask.keep.shape, score_shape);
    args.dropout = dropout;
    args.dropout_key = draw;
    const auto count = static_cast<std::size_t>(outputs());
    args.weights = weights ? out[1].data<T>() : nullptr;
    args.scores = scores ? out[count - 1].data<T>() : nullptr;
    args.row_max = out[count].data<T>();
    args.row_inverse_sum = out[count + 1].data<T>();
  }
  /// Cotangents of weights and scores, to be completed where they are.
  template <class T>
  void put(kernels::AttentionGradients<T>& grads, CotangentViews doutputs) const {
    const auto count = static_cast<std::size_t>(outputs());
    if (weights) grads.dweights = grads.weights_gradient = doutputs[1].data<T>();
    if (scores) grads.dscores = grads.scores_gradient = doutputs[count - 1].data<T>();
  }
};

/// The results of attention over heads packed in the last axis, for definitions of other ops.
VarList attention_with(const Var& query, const Var& key, const Var& value, Index heads,
                       const HeldAttention& held);

}  // namespace tapegrad
