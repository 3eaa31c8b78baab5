/// Cuts a value off from its gradient.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// y = x;  dx = 0: the values stay, and through them no gradient flows (`needs_grad()` is false). Also called
/// stop-gradient.
Var detach(const Var& x);

}  // namespace tapegrad
