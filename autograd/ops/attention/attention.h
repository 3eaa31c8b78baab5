/// Attention as one op: a kernel, whose definition is attention_equation (equation.h).
#pragma once
#include <optional>

#include "layout.h"
#include "mask.h"

namespace tapegrad {

struct AttentionOptions {
  Mask mask = {};                    ///< which keys take part
  Var bias = {};                     ///< added to the scores before the mask; broadcasts to their shape
  std::optional<double> scale = {};  ///< factor of the scores; 1 / sqrt(dim) unless it is given
  double dropout = 0;                ///< probability for each weight, on a training tape: takes one draw
  HeadLayout layout = HeadAxis{};    ///< PackedHeads{heads}: the heads are side by side in the last axis
  bool scores = false;               ///< `attention_with_weights` gives the scores, too
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
/// dweights and dscores are the cotangents of these results themselves; with ′, in total.
///
/// HeadAxis: query [batch, heads, query, dim], key [batch, heads, key, dim], value [batch, heads, key, dim_v]
/// -> [batch, heads, query, dim_v]; without the heads axis, or without batch and heads, the result lacks them
/// too (there is one head). PackedHeads: query [batch, query, heads · dim], key [batch, key, heads · dim],
/// value [batch, key, heads · dim_v] -> [batch, query, heads · dim_v]; or all three without the batch axis.
///
/// Each of the three may be columns of a value that holds several of them: `attention(columns(qkv, 0, d),
/// columns(qkv, d, d), columns(qkv, 2 * d, d), {.layout = PackedHeads{heads}})`. Nothing is transposed or
/// copied, and the bits are those of query, key and value apart.
///
/// A query whose keys are all masked gets zeros: in context, weights and gradient. Dropout's element i is
/// row-major in [batch, heads, query, key], in every layout. Throws when ranks or extents do not agree, mask
/// or bias does not broadcast, the number of heads is not positive or does not divide, or dropout is outside
/// [0, 1].
Var attention(const ColumnView& query, const ColumnView& key, const ColumnView& value,
              const AttentionOptions& options = {});

struct AttentionResult {
  Var context;
  Var weights = {};  ///< [batch, heads, query, key], before dropout; a loss may depend on it
  Var scores = {};   ///< [batch, heads, query, key], before the mask; a loss may depend on it. Empty unless
                     ///< asked for

  /// The result that a layer's hooks see.
  const Var& observed() const { return context; }
};

/// `attention` with its bits, and the weights of every head as a second result. The gradients of weights and
/// scores are complete: they include what flows through the context. A masked cell has a gradient of its
/// weight.
AttentionResult attention_with_weights(const ColumnView& query, const ColumnView& key,
                                       const ColumnView& value, const AttentionOptions& options = {});

}  // namespace tapegrad
