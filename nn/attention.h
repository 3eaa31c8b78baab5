/// Multi-head attention (Vaswani et al., 2017) and the kinds of its score.
#pragma once
#include <optional>

#include "../autograd/ops/attention/heads.h"
#include "decode/cache.h"
#include "layer.h"
#include "linear.h"

namespace tapegrad::nn {

/// The score of a key for a query.
enum class Score {
  scaled_dot,         ///< q·k / √d (Vaswani et al., 2017)
  dot,                ///< q·k
  cosine,             ///< q·k / (‖q‖ ‖k‖)
  negative_distance,  ///< −‖q − k‖
};

struct DotProductAttentionOptions {
  Score score = Score::scaled_dot;
  Mask mask = {};
  Var bias = {};                   ///< added to the scores before the mask; broadcasts to their shape
  double dropout = 0;              ///< of the weights, on a training tape
  HeadLayout layout = HeadAxis{};  ///< of query, key and value
  bool weights = true;             ///< give the weights
  bool scores = false;             ///< give the scores, with the bias, and the weights
};

/// softmax(score(Q, K) + bias, masked) V, with the score as an option; a fully masked row gives zeros. The
/// weights are those before dropout, [batch, heads, query, key], and a loss may depend on them.
AttentionResult attention_by_score(const ColumnView& query, const ColumnView& key, const ColumnView& value,
                                   const DotProductAttentionOptions& options = {});

struct MultiHeadAttentionOptions {
  double dropout = 0;
  bool bias = true;
  Score score = Score::scaled_dot;
  std::optional<Index> kdim = {};  ///< width of the keys; d_model unless it is given
  std::optional<Index> vdim = {};  ///< width of the values; d_model unless it is given
};

/// The optional results of MultiHeadAttention besides the context, [batch, heads, query, key] each.
struct AttentionOutputs {
  bool need_weights = false;  ///< before dropout
  bool need_scores = false;   ///< before the mask
};

/// MultiHead(Q, K, V) = concat(head₁, …, head_h) Wᴼ,  head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V) (Vaswani
/// et al., 2017, 3.2.2). Parameters, as in PyTorch: `in_proj_weight` [3 d_model, d_model] (rows query | key |
/// value, heads contiguous), `in_proj_bias` [3 d_model], `out_proj.weight`, `out_proj.bias`; where kdim or
/// vdim differs from d_model, `q_proj_weight` [d_model, d_model], `k_proj_weight` [d_model, kdim] and
/// `v_proj_weight` [d_model, vdim] stand in the place of `in_proj_weight`. Each weight of the in-projection
/// starts xavier-uniform, each bias at 0. Taps, each with its gradient (`tap_values`): `scores`, before the
/// mask; `weights`, before dropout; `context`, before `out_proj`; `query`, `key` and `value`, projected.
struct MultiHeadAttention : Layer<MultiHeadAttention> {
  /// Throws unless `heads` divides `d_model`, and unless kdim and vdim are positive.
  MultiHeadAttention(const Scope& scope, Index d_model, Index heads,
                     const MultiHeadAttentionOptions& options = {});

  /// query [batch, query, d_model], key [batch, key, kdim], value [batch, key, vdim] -> [batch, query,
  /// d_model]; or all without batch. Throws when they do not fit.
  Var forward(const Var& query, const Var& key, const Var& value, const Mask& mask = {}) const;
  /// Also weights and scores of every head, where they are needed; a loss may depend on them.
  AttentionResult forward(const Var& query, const Var& key, const Var& value, const Mask& mask,
                          const AttentionOutputs& outputs) const;

  using Layer::operator();
  /// `mha(q, k, v, {.need_weights = true})`, with or without a mask before it.
  AttentionResult operator()(const Var& query, const Var& key, const Var& value, const Mask& mask,
                             const AttentionOutputs& outputs) const {
    return Layer::operator()(query, key, value, mask, outputs);
  }
  AttentionResult operator()(const Var& query, const Var& key, const Var& value,
                             const AttentionOutputs& outputs) const {
    return Layer::operator()(query, key, value, Mask::none(), outputs);
  }

  /// Decoding, one query a row: the attention above, with the same bits, over keys and values that a cache
  /// holds, on a tape that does not record. x [rows, 1, d_model] -> same. `step` is self-attention: it puts
  /// x's own key and value at place `lengths[row] - 1` first. `cross_attend_step` reads what
  /// `precompute_cross_kv` made of `memory` [rows, time, d_model], valid as long as the tape's values.
  /// Score::scaled_dot and kdim = vdim = d_model only; hooks and taps see nothing. Throws on a tape that
  /// records or trains, and for other scores and widths.
  Var step(const Var& x, KVCache& past, const CacheRows& rows, TransposedWeights& weights) const;
  KVCache precompute_cross_kv(const Var& memory) const;
  Var cross_attend_step(const Var& x, const KVCache& memory, const CacheRows& rows,
                        TransposedWeights& weights) const;

  Parameter in_proj_weight;                               // packed, or empty
  Parameter q_proj_weight, k_proj_weight, v_proj_weight;  // where widths differ, else empty
  Parameter in_proj_bias;                                 // empty without bias
  Linear out_proj;
  Index heads;
  MultiHeadAttentionOptions options;

 private:
  void check(const Var& query, const Var& key, const Var& value) const;
  Projections project(const Var& query, const Var& key, const Var& value) const;
  Heads split(const Projections& projected) const;
  AttentionResult attend(const Heads& heads, const Mask& mask, const AttentionOutputs& outputs) const;
  Var merge(const Var& context, const HeadLayout& layout, int rank) const;
  Var tapped(const char* name, const Var& value, const HeadLayout& layout = HeadAxis{}) const;
  ColumnView tapped(const char* name, const ColumnView& value, const HeadLayout& layout) const;
  Var attend_cache(const Var& query, const KVCache& cache, const CacheRows& rows,
                   TransposedWeights& weights) const;
  void check_steps(const Tape& tape) const;
};

}  // namespace tapegrad::nn
