/// The mean squared error.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// loss = Σ (prediction − target)² / n over all n elements, the mean squared error, a scalar;  dprediction =
/// 2 / n dloss (prediction − target), dtarget = −dprediction. NaN over nothing. A target that is a Tensor
/// gets no gradient. Throws when the shapes differ: broadcasting a target is nearly always a mistake, as of
/// [batch] against [batch, 1].
Var mse_loss(const Var& prediction, const Var& target);
Var mse_loss(const Var& prediction, const Tensor& target);

}  // namespace tapegrad
