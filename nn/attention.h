#pragma once
#include <tapegrad/autograd/layer.h>
#include <tapegrad/autograd/ops/attention.h>
#include <tapegrad/nn/linear.h>

namespace tapegrad {

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
  Var bias = {};       ///< added to the scores before the mask; broadcasts to [batch, heads, query, key]
  double dropout = 0;  ///< of the weights, on a training tape
  Index heads = 0;     ///< 0: query [batch, heads, time, dim]; else all packed, [batch, time, heads · dim]
};

/// softmax(score(Q, K) + bias, masked) V, with the score as an option; a fully masked row gives zeros. The
/// weights are those before dropout, [batch, heads, query, key], and lie on the path to the loss.
AttentionResult attention_by_score(const Var& query, const Var& key, const Var& value,
                                   const DotProductAttentionOptions& options = {});

struct MultiHeadAttentionOptions {
  double dropout = 0;
  bool bias = true;
  Score score = Score::scaled_dot;
};

/// Asks a MultiHeadAttention for its weights too.
struct WithWeights {};

/// MultiHead(Q, K, V) = concat(head₁, …, head_h) Wᴼ,  head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V) (Vaswani
/// et al., 2017, 3.2.2). Parameters, as in PyTorch: `in_proj_weight` [3 d_model, d_model] (rows query | key |
/// value, heads contiguous), `in_proj_bias`, `out_proj.weight`, `out_proj.bias`. Tap: `weights`.
struct MultiHeadAttention : Layer<MultiHeadAttention> {
  /// Throws unless `heads` divides `d_model`.
  MultiHeadAttention(const Scope& scope, Index d_model, Index heads,
                     const MultiHeadAttentionOptions& options = {});

  /// query [batch, query, d_model], key and value [batch, key, d_model] -> [batch, query, d_model]
  Var forward(const Var& query, const Var& key, const Var& value, const Mask& mask = {}) const;
  /// Also the weights of every head, [batch, heads, query, key], before dropout and on the path to the loss.
  AttentionResult forward(const Var& query, const Var& key, const Var& value, const Mask& mask,
                          WithWeights) const;

  Parameter in_proj_weight, in_proj_bias;
  Linear out_proj;
  Index heads;
  MultiHeadAttentionOptions options;
};

}  // namespace tapegrad
