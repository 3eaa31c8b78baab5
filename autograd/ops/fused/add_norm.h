/// The end of a Transformer's sublayer in one op: dropout, residual sum and layer norm.
#pragma once
#include "../../tape.h"

namespace tapegrad {

/// The two results of add_norm.
struct NormedSum {
  Var normed, sum;

  /// The result that a layer's hooks see.
  const Var& observed() const { return normed; }
};

/// The parameters of a layer norm as a composite op takes them, to which nn::LayerNorm converts: weight and
/// bias [n] or empty, and the layer's path, or null for parameters of no layer.
struct NormPart {
  Operand weight = {}, bias = {};
  double eps = 1e-5;
  const std::string* path = nullptr;
};

/// sum = x + dropout(f, p), normed = layer_norm(sum, weight, bias, eps), in one pass over memory. With ds =
/// the gradient of sum plus what layer_norm passes back:  dx = ds, df = ds [u ≥ p] / (1 − p).
///
///   x, f [.., n] of one shape -> normed, sum [.., n]
///
/// Values and draws are those of the three ops, bit for bit; on a tape that is not training nothing is
/// dropped. Throws as they do, and when x and f differ in shape.
NormedSum add_norm(const NormPart& norm, const Var& x, const Var& f, double p = 0);

}  // namespace tapegrad
