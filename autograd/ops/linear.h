#pragma once
#include "../tape.h"

namespace tapegrad {

/// y = x Wᵀ + b;  dx = dy W, dW = dyᵀ x, db = Σ over rows of dy.
///
///   x [..., in], weight [out, in], bias [out] or empty -> [..., out]
///
/// Throws when the shapes do not fit.
Var linear(const Var& x, const Var& weight, const Var& bias = {});
/// The same with rows `row_begin` … `row_begin + rows − 1` of weight and bias, as from a packed
/// in-projection: y = x W[rows]ᵀ + b[rows],
/// [..., in] -> [..., rows];  dW and db are 0 outside these rows.
Var linear_rows(const Var& x, const Var& weight, const Var& bias, Index row_begin, Index rows);
/// The same as `linear` with a bias that is the part `bias_begin` … `bias_begin + out − 1` of a longer one
/// [n], as where projections of their own share a packed bias: y = x Wᵀ + b[part];  db is 0 outside it.
Var linear_bias_part(const Var& x, const Var& weight, const Var& bias, Index bias_begin);

}  // namespace tapegrad
