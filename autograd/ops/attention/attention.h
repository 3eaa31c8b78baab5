#pragma once
#include "mask.h"

namespace tapegrad {

struct AttentionOptions {
  Mask mask = {};    ///< which keys take part
  Var bias = {};     ///< added to the scores before the mask; broadcasts to [batch, heads, query, key]
  double scale = 0;  ///< factor of the scores; 0 means 1 / sqrt(dim)
  double dropout =
      0;  ///< probability for each weight; active when the tape is training, and then takes one draw
  Index heads = 0;      ///< > 0: the heads lie packed side by side in the last axis
  bool scores = false;  ///< `attention_with_weights` gives the scores, too
};

/// Scaled dot-product attention (Vaswani et al., 2017, arXiv 1706.03762):
///
///     scores  = scale · query keyᵀ + bias                  [batch, heads, query, key]
///     weights = softmax(scores over the keys that the mask keeps; 0 for all others)
///     context = dropout(weights) value
///
///     dvalue   = dropout(weights)ᵀ dcontext      dweights' = dropout(dcontext valueᵀ) + dweights
///     dscores' = weights ⊙ (dweights' − Σ_key weights ⊙ dweights') + dscores,  dbias = dscores',
///     dquery   = scale · dscores' key            dkey = scale · dscores'ᵀ query
///
/// heads = 0: query [batch, heads, query, dim], key [batch, heads, key, dim], value [batch, heads, key,
/// dim_v] -> [batch, heads, query, dim_v]; without the heads axis, or without batch and heads, the result
/// lacks them too (there is one head). heads > 0: query [batch, query, heads · dim], key [batch, key, heads ·
/// dim], value [batch, key, heads · dim_v] -> [batch, query, heads · dim_v]; or all three without the batch
/// axis. Nothing is transposed. A query whose keys are all masked gets zeros: in context, weights and
/// gradient. Dropout's element i is row-major in [batch, heads, query, key], in every layout. Throws when
/// ranks or extents do not agree, mask or bias does not broadcast, heads does not divide, or dropout is
/// outside [0, 1].
Var attention(const Var& query, const Var& key, const Var& value, const AttentionOptions& options = {});

struct AttentionResult {
  Var context;
  Var weights = {};  ///< [batch, heads, query, key], before dropout; a loss may depend on it
  Var scores = {};   ///< [batch, heads, query, key], before the mask; likewise. Empty unless asked for

  /// The result that a layer's hooks see.
  const Var& observed() const { return context; }
};

/// The same, with the same bits, and the weights of every head as a second result. Their gradient, and that
/// of the scores, is what the loss's is on every way, also by the context; masked cells have one of the
/// weights.
AttentionResult attention_with_weights(const Var& query, const Var& key, const Var& value,
                                       const AttentionOptions& options = {});

}  // namespace tapegrad
