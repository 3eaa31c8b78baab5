/// The derivative of attention, written in ops: what a backward pass computes, one line for each line of the
/// equation (equation.h), in reverse. The kernel of `attention` computes these numbers without ever holding a
/// whole [query, key] matrix.
#pragma once
#include "equation.h"

namespace tapegrad {

/// dloss/dx for every x of an attention.
struct AttentionGradients {
  Var query, key, value, bias;  ///< bias is empty without one
  Var scores, weights, dropped;
};

/// The gradients of a loss whose gradient with respect to `forward.context` is `dcontext`, [batch, heads,
/// query, dim_v].
AttentionGradients attention_backward_equation(const AttentionSteps& forward, const Var& dcontext);

}  // namespace tapegrad
