#pragma once
#include "../../tape.h"

namespace tapegrad {

enum class Activation { relu, gelu };

/// y = activation(a), a = x Wᵀ + b;  da = dy ⊙ activation'(a), dx = da W, dW = daᵀ x, db = Σ over rows of da.
/// The same bits as relu or gelu (by erf) of `linear`.
///
///   x [..., in], weight [out, in], bias [out] or empty -> [..., out]
///
/// Throws when the shapes do not fit.
Var linear_activation(const Var& x, const Var& weight, const Var& bias, Activation activation);

}  // namespace tapegrad
