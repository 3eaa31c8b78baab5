/// Ops that change only the gradient that passes through.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// y = x;  dx = factor dy: the values stay, and the gradient is multiplied by `factor` on its way back. With
/// 0 the gradient is there and is 0; `detach` takes it away.
Var scale_gradient(const Var& x, double factor);

/// y = x;  dx = −dy: gradient reversal, which trains the layers before it to make the loss larger (Ganin and
/// Lempitsky, 2015, arXiv 1409.7495). It is scale_gradient(x, -1).
Var flip_gradient(const Var& x);

}  // namespace tapegrad
