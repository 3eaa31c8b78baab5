#include "feed_forward.h"

#include "../autograd/ops/activation.h"
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
  Tape& tape = x.tape("layer");
  const bool fused = tape.may_fuse(linear1.path());
  const auto apart = [&] {
    const Var hidden = linear1(x);
    return activation == Activation::relu ? relu(hidden) : gelu(hidden);
  };
  const Var hidden = fused ? linear1(x, activation) : apart();  // [.., hidden]
  return linear2(tapegrad::dropout(hidden, dropout));
}

Var FeedForward::step(const Var& x, TransposedWeights& weights) const {
  return weights.linear(weights.linear(x, linear1, activation), linear2);
}

}  // namespace tapegrad::nn
