#pragma once
#include "../autograd/ops/attention/attention.h"
#include "decode/cache.h"
#include "layer.h"
#include "linear.h"

namespace tapegrad::nn {

/// How well a key fits a query.
enum class Score {
  scaled_dot,         ///< q·k / √d (Vaswani et al., 2017)
  dot,                ///< q·k
  cosine,             ///< q·k / (‖q‖ ‖k‖)
  negative_distance,  ///< −‖q − k‖
};

struct DotProductAttentionOptions {
  Score score = Score::scaled_dot;
  Mask mask = {};
  Var bias = {};        ///< added to the scores before the mask; broadcasts to [batch, heads, query, key]
  double dropout = 0;   ///< of the weights, on a training tape
  Index heads = 0;      ///< 0: query [batch, heads, time, dim]; else all packed, [batch, time, heads · dim]
  bool scores = false;  ///< also give the scores that the mask is laid on, with the bias
};

/// softmax(score(Q, K) + bias, masked) V, with the score as an option; a fully masked row gives zeros. The
/// weights are those before dropout, [batch, heads, query, key], and lie on the path to the loss.
AttentionResult attention_by_score(const Var& query, const Var& key, const Var& value,
                                   const DotProductAttentionOptions& options = {});

struct MultiHeadAttentionOptions {
  double dropout = 0;
  bool bias = true;
  Score score = Score::scaled_dot;
  Index kdim = 0;  ///< width of the keys; 0: d_model
  Index vdim = 0;  ///< width of the values; 0: d_model
};

/// Asks a MultiHeadAttention for its weights too.
struct WithWeights {};

/// MultiHead(Q, K, V) = concat(head₁, …, head_h) Wᴼ,  head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V) (Vaswani
/// et al., 2017, 3.2.2). Parameters, as in PyTorch: `in_proj_weight` [3 d_model, d_model] (rows query | key |
/// value, heads contiguous), `in_proj_bias` [3 d_model], `out_proj.weight`, `out_proj.bias`; where kdim or
/// vdim differs from d_model, `q_proj_weight` [d_model, d_model], `k_proj_weight` [d_model, kdim] and
/// `v_proj_weight` [d_model, vdim] stand in the place of `in_proj_weight`. Each weight of the in-projection
/// starts xavier-uniform, each bias at 0. Taps, each with its gradient (`tap_values`): `scores`, before the
/// mask; `weights`, before dropout; `context`, before `out_proj`; `query`, `key` and `value`, projected.
struct MultiHeadAttention : Layer<MultiHeadAttention> {
  /// Throws unless `heads` divides `d_model`, and on a negative kdim or vdim.
  MultiHeadAttention(const Scope& scope, Index d_model, Index heads,
                     const MultiHeadAttentionOptions& options = {});

  /// query [batch, query, d_model], key [batch, key, kdim], value [batch, key, vdim] -> [batch, query,
  /// d_model]; or all without batch. Throws when they do not fit.
  Var forward(const Var& query, const Var& key, const Var& value, const Mask& mask = {}) const;
  /// Also the weights of every head, [batch, heads, query, key], before dropout and on the path to the loss.
  AttentionResult forward(const Var& query, const Var& key, const Var& value, const Mask& mask,
                          WithWeights) const;

  /// Decoding, one query a row: the same attention, with the same bits, over keys and values that a cache
  /// holds, on a tape that does not record. x [rows, 1, d_model] -> same. `step` is self-attention: it puts
  /// x's own key and value at place `lengths[row] - 1` first. `look_up` reads what `remember` made of
  /// `memory` [rows, time, d_model], valid as long as the tape's values. Score::scaled_dot and kdim = vdim =
  /// d_model only; hooks and taps are not asked. Throws on a tape that records or trains, and for other
  /// scores and widths.
  Var step(const Var& x, KeyValues& past, const CacheRows& rows) const;
  KeyValues remember(const Var& memory) const;
  Var look_up(const Var& x, const KeyValues& memory, const CacheRows& rows) const;

  Parameter in_proj_weight;                               // packed, or empty
  Parameter q_proj_weight, k_proj_weight, v_proj_weight;  // where widths differ, else empty
  Parameter in_proj_bias;                                 // empty without bias
  Linear out_proj;
  Index heads;
  MultiHeadAttentionOptions options;

 private:
  struct Projected {
    Var query, key, value;
  };
  Projected project(const Var& query, const Var& key, const Var& value) const;
  Projected slices(const Var& query, const Var& key) const;
  void check(const Var& query, const Var& key, const Var& value) const;
  AttentionResult context(const Var& query, const Var& key, const Var& value, const Mask& mask,
                          bool weights) const;
  void tap(const char* name, const Var& value, Index heads = 0) const;
  Var attend(const Var& query, const KeyValues& cache, const CacheRows& rows) const;
  void check_steps(const Tape& tape) const;
};

}  // namespace tapegrad::nn
