#pragma once
#include "../tape.h"

namespace tapegrad {

/// Element-wise comparisons with broadcasting. The result is a boolean Tensor that owns its memory, never a
/// Var: no gradient flows.
Tensor equal(const Var& a, const Var& b);
Tensor not_equal(const Var& a, const Var& b);
Tensor less(const Var& a, const Var& b);
Tensor less_equal(const Var& a, const Var& b);
Tensor greater(const Var& a, const Var& b);
Tensor greater_equal(const Var& a, const Var& b);

/// c = condition ? a : b, all three broadcast together;  da = condition ? dc : 0, db = condition ? 0 : dc.
/// `condition` is boolean.
Var where(const Tensor& condition, const Var& a, const Var& b);
/// y = mask ? value : x;  dx = mask ? 0 : dy. `mask` is boolean and broadcasts to x.
Var masked_fill(const Var& x, const Tensor& mask, double value);

}  // namespace tapegrad
