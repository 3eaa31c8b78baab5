/// A linear layer and its activation in one op.
#pragma once
#include "../../tape.h"

namespace tapegrad {

enum class Activation { relu, gelu };

/// The parameters of a linear layer as a composite op takes them, to which nn::Linear converts: weight [out,
/// in], bias [out] or empty, and the layer's path, or null for parameters of no layer.
struct LinearPart {
  Operand weight, bias = {};
  const std::string* path = nullptr;
};

/// y = activation(a), a = x Wᵀ + b;  da = dy ⊙ activation'(a), dx = da W, dW = daᵀ x, db = Σ over rows of da.
/// The bits are those of relu or gelu (by erf) of `linear`.
///
///   x [..., in], weight [out, in], bias [out] or empty -> [..., out]
///
/// Throws when the shapes do not fit.
Var linear_activation(const Var& x, const LinearPart& linear, Activation activation);

}  // namespace tapegrad
