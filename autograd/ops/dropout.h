/// Dropout with counter-based random numbers.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// y_i = x_i · [u_i ≥ p] / (1 − p) with u_i uniform in [0, 1) (Srivastava et al., 2014);  dx_i = dy_i · [u_i
/// ≥ p] / (1 − p). x itself when the tape is not training or p = 0; otherwise takes the tape's next draw. p
/// in [0, 1], p = 1 gives zeros; throws on any other p.
Var dropout(const Var& x, double p);

/// `dropout` with the numbers of `key`, in training or not: element i (row-major) of x is kept or not by
/// (key, i) alone.
Var dropout_with(const Var& x, double p, RandomKey key);

}  // namespace tapegrad
