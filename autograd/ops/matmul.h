/// Matrix products, batched and broadcast as in NumPy.
#pragma once
#include "../tape.h"

namespace tapegrad {

struct MatmulOptions {
  bool transpose_a = false;  ///< read the last two axes of a swapped, without a copy
  bool transpose_b = false;  ///< read the last two axes of b swapped
};

/// C = op(A) op(B) over the last two axes, op(X) = X or Xᵀ:  dA = dC op(B)ᵀ, dB = op(A)ᵀ dC (each transposed
/// back where op transposes, and summed over batch axes that were repeated).
///
///   a [..., m, k] · b [..., k, n] -> [..., m, n]; leading axes broadcast
///   a [k]: a row, whose axis m is dropped from the result; b [k]: a column, whose axis n is dropped (as in
///   NumPy)
///
/// k = 0 gives zeros. Throws when an operand is a scalar, a vector is to be transposed, or shapes do not fit.
Var matmul(const Operand& a, const Operand& b, const MatmulOptions& options = {});

}  // namespace tapegrad
