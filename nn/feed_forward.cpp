#include "feed_forward.h"

#include "../autograd/ops/dropout.h"
#include "init.h"

namespace tapegrad::nn {

FeedForward::FeedForward(const Scope& scope, Index width, Index hidden, Activation act, double rate,
                         bool bias)
    : linear1(scope / "linear1", width, hidden, {.bias = bias, .weight_init = xavier_uniform()}),
      linear2(scope / "linear2", hidden, width, {.bias = bias, .weight_init = xavier_uniform()}),
      activation(act),
      dropout(rate) {}

Var FeedForward::operator()(const Var& x) const {
  const Var hidden = linear_activation(x, linear1, activation);  // [.., hidden]
  return linear2(tapegrad::dropout(hidden, dropout));            // [.., width]
}

Var FeedForward::step(const Var& x, TransposedWeights& weights) const {
  return weights.linear(weights.linear(x, linear1, activation), linear2);
}

}  // namespace tapegrad::nn
