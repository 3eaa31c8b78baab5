#include "backward_equation.h"

#include "../arithmetic.h"
#include "../matmul.h"
#include "../reduce.h"

namespace tapegrad {

AttentionGradients attention_backward_equation(const AttentionSteps& forward, const Var& dO) {
  const Var &Q = forward.query, &K = forward.key, &V = forward.value, &bias = forward.bias;
  const Var &P = forward.weights, &R = forward.dropped;
  const AttentionState& with = forward.state;

  // The forward was O = R V, so each value gets its share of dO, and R is moved by dO along V.
  const Var dV = matmul(R, dO, {.transpose_a = true});  // [batch, heads, key, dim_v]
  const Var dR = matmul(dO, V, {.transpose_b = true});  // [batch, heads, query, key]

  // It was R = dropout(P), which multiplies by 0 or 1 / (1 - p); so now, by the draw of the forward.
  const Var dP = with.drop(dR);  // [batch, heads, query, key]

  // It was P = softmax(S) over the keys. A row of P keeps its sum of 1, so what all keys would gain alike,
  // the mean of dP under P, is taken off; a masked key has P = 0 and gets nothing.
  const Var dS = P * (dP - sum(P * dP, {.axis = -1, .keepdim = true}));  // [batch, heads, query, key]

  // It was S = scale · Q Kᵀ + bias: a product, whose factors each get dS times the other one.
  const Var dQ = affine(matmul(dS, K), with.scale);                         // [batch, heads, query, dim]
  const Var dK = affine(matmul(dS, Q, {.transpose_a = true}), with.scale);  // [batch, heads, key, dim]
  const Var dbias = bias ? sum_to(dS, bias.shape()) : Var();  // summed over the axes along which it repeats

  return {dQ, dK, dV, dbias, dS, dP, dR};
}

}  // namespace tapegrad
