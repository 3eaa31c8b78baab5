#pragma once
#include "../tape.h"

namespace tapegrad {

/// Softmax and its relatives along one axis (negative: from the end), with the maximum taken out first, so
/// that nothing overflows. The kernels work along the last axis; for another one x is transposed there and
/// back. Each throws when `axis` is out of range.

/// y = e^x / Σ e^x;  dx = y ⊙ (dy − Σ (dy ⊙ y)). Along an axis that is all −inf: zeros, in the value and in
/// the gradient.
Var softmax(const Var& x, int axis = -1);
/// y = x − ln Σ e^x;  dx = dy − e^y Σ dy. Along an axis that is all −inf: −inf.
Var log_softmax(const Var& x, int axis = -1);
/// y = ln Σ e^x, with `keep` an axis of extent 1, else without it;  dx = dy ⊙ e^(x − y). Along an axis that
/// is all −inf: −inf, and no gradient.
Var logsumexp(const Var& x, int axis = -1, bool keep = false);

}  // namespace tapegrad
