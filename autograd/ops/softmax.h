/// Softmax, log-softmax and log-sum-exp along an axis.
#pragma once
#include "reduce.h"

namespace tapegrad {

/// Softmax and its relatives along one axis (negative: from the end), with the maximum taken out first, so
/// that nothing overflows. The kernels work along the last axis; for another one x is transposed there and
/// back. Without an axis each runs along the last one. Each throws when `axis` is out of range.

/// y = e^x / Σ e^x;  dx = y ⊙ (dy − Σ (dy ⊙ y)). Along an axis that is all −inf: zeros, in the value and in
/// the gradient.
Var softmax(const Var& x);
Var softmax(const Var& x, int axis);
/// y = x − ln Σ e^x;  dx = dy − e^y Σ dy. Along an axis that is all −inf: −inf.
Var log_softmax(const Var& x);
Var log_softmax(const Var& x, int axis);
/// y = ln Σ e^x;  dx = dy ⊙ e^(x − y). Along an axis that is all −inf: −inf, and no gradient.
Var logsumexp(const Var& x);
Var logsumexp(const Var& x, int axis);
Var logsumexp(const Var& x, const AxisOptions& options);

}  // namespace tapegrad
