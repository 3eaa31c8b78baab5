#include "equation.h"

#include "../arithmetic.h"
#include "../matmul.h"
#include "masked_softmax.h"

namespace tapegrad {

AttentionSteps attention_equation(const Var& Q, const Var& K, const Var& V, const Var& bias,
                                  const AttentionState& with) {
  const Var fit = affine(matmul(Q, K, {.transpose_b = true}), with.scale);  // [batch, heads, query, key]
  const Var scores = bias ? fit + bias : fit;                               // S [batch, heads, query, key]
  const Var weights = masked_softmax_with(scores, with.mask);               // P [batch, heads, query, key]
  const Var dropped = with.drop(weights);                                   // R [batch, heads, query, key]
  const Var context = matmul(dropped, V);                                   // O [batch, heads, query, dim_v]

  return {Q, K, V, bias, with, scores, weights, dropped, context};
}

AttentionSteps attention_equation(const Var& query, const Var& key, const Var& value,
                                  const AttentionOptions& options) {
  Tape& tape = query.tape("attention_equation");
  if (const auto* packed = std::get_if<PackedHeads>(&options.layout))
    throw Error(
        fmt::format("attention_equation: query {} with the layout PackedHeads{{{}}}, expected [batch, "
                    "heads, time, dim] with HeadAxis; split_heads makes it",
                    query.shape(), packed->heads));
  return tape.with_rollback([&] {
    const Index dim = query.rank() > 0 ? query.shape()[-1] : 0;
    return attention_equation(query, key, value, options.bias, attention_state(tape, options, dim));
  });
}

}  // namespace tapegrad
