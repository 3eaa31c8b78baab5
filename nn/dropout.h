/// Dropout as a layer.
#pragma once
#include "../autograd/ops/dropout.h"
#include "layer.h"

namespace tapegrad::nn {

/// On a training tape zeroes each element with probability p and scales the others by 1 / (1 − p); else the
/// identity (Srivastava et al., 2014). The draws are keyed by the tape's seed, step and shard.
struct Dropout : Layer<Dropout> {
  Dropout(const Scope& scope, double rate) : Layer(scope), p(rate) {}
  Var forward(const Var& x) const { return dropout(x, p); }

  double p;
};

}  // namespace tapegrad::nn
