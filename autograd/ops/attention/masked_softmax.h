/// Softmax over the keys that a mask leaves.
#pragma once
#include "mask.h"

namespace tapegrad {

/// y = e^x / Σ e^x over the keys of each row that `mask` keeps, 0 at all others;  dx = y ⊙ (dy − Σ (dy ⊙ y)),
/// 0 where y was masked, whatever stands in x and dy there. A row of which nothing is left, or nothing but
/// −inf, is all zeros, in the value and in the gradient.   scores [batch, heads, query, key] -> same.
/// Throws unless `scores` has these four axes and the mask fits them. Without a mask it is `softmax`.
Var masked_softmax(const Var& scores, const Mask& mask);

/// `masked_softmax` with a mask that the tape already holds, for definitions of other ops.
Var masked_softmax_with(const Var& scores, const MaskView& mask);

}  // namespace tapegrad
