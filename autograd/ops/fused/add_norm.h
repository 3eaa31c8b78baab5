#pragma once
#include "../../tape.h"

namespace tapegrad {

/// What add_layer_norm gives.
struct NormedSum {
  Var normed, sum;

  /// The result that a layer's hooks see.
  const Var& observed() const { return normed; }
};

/// sum = x + dropout(f, p), normed = layer_norm(sum, weight, bias, eps): the end of a Transformer's sublayer,
/// in one pass over memory. With ds = the gradient of sum plus what layer_norm passes back:  dx = ds, df = ds
/// [u ≥ p] / (1 − p). x and f [.., n] of one shape, weight and bias [n] or empty. Values and draws are those
/// of the three ops, bit for bit; on a tape that is not training nothing is dropped. Throws as they do, and
/// when x and f differ in shape.
NormedSum add_layer_norm(const Var& x, const Var& f, const Var& weight = {}, const Var& bias = {},
                         double eps = 1e-5, double p = 0);

}  // namespace tapegrad
