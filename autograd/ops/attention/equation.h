/// The equation of attention (Vaswani et al., 2017, arXiv 1706.03762), written in ops. `attention`
/// (attention.h) computes it in one kernel, and has it for a definition;
/// `attention_backward_equation` (backward_equation.h) is its derivative.
#pragma once
#include "attention.h"
#include "state.h"

namespace tapegrad {

/// Every value of one attention, from its inputs to its context.
struct AttentionSteps {
  Var query, key, value, bias;  ///< the inputs; bias may be empty
  AttentionState state;         ///< scale, mask and dropout

  Var scores;   ///< [batch, heads, query, key]: how well each key fits each query
  Var weights;  ///< [batch, heads, query, key]: a distribution over the keys of each query
  Var dropped;  ///< [batch, heads, query, key]: the weights after dropout
  Var context;  ///< [batch, heads, query, dim_v]: a mean of the values
};

/// query [batch, heads, query, dim], key [batch, heads, key, dim], value [batch, heads, key, dim_v]. Throws
/// when the shapes do not fit.
AttentionSteps attention_equation(const Var& query, const Var& key, const Var& value, const Var& bias,
                                  const AttentionState& state);

/// The equation with the options of `attention`; `options.layout` is HeadAxis.
AttentionSteps attention_equation(const Var& query, const Var& key, const Var& value,
                                  const AttentionOptions& options = {});

}  // namespace tapegrad
