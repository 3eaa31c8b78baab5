/// Derivatives beyond the gradient: Hessian-vector and Jacobian-vector products, Jacobians and Hessians of
/// recorded values.
///
/// Each function walks the recording back, more than once, and leaves the tape as it was: values, draws, taps
/// and earlier Gradients stay, and gradient hooks are not run. Results own their memory. Each throws when `x`
/// needs no gradient (a constant, or frozen), when the operands are on different tapes, and when the tape
/// does not record or was consumed. A value that does not depend on x has the derivative 0. At a kink, the
/// derivative is that of the ops' gradients.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// H v with H = d²loss/dx², without H (Pearlmutter, 1994): the derivative of <dloss/dx, v> with respect to x.
///
///   loss of one element, x and v [..] -> [..]
///
/// Costs a few backward passes. Throws when the loss has more elements, or v is not of x's shape and the
/// tape's dtype.
Tensor hvp(const Var& loss, const Var& x, const Tensor& v);
Tensor hvp(const Var& loss, const Parameter& x, const Tensor& v);

/// J v with J = dy/dx, without J: the change of y as x moves along v. J' u is linear in u, so the derivative
/// of <J' u, v> with respect to u is J v at every u (Townsend, 2017, "A new trick for calculating Jacobian
/// vector products").
///
///   y [..y], x and v [..x] -> [..y]
///
/// Costs a few backward passes. Throws when v is not of x's shape and the tape's dtype.
Tensor jvp(const Var& y, const Var& x, const Tensor& v);
Tensor jvp(const Var& y, const Parameter& x, const Tensor& v);

/// J[i, j] = dy_i / dx_j, elements in row-major order.   y [..y], x [..x] -> [size of y, size of x]
///
/// Costs one backward pass for each element of y.
Tensor jacobian(const Var& y, const Var& x);
Tensor jacobian(const Var& y, const Parameter& x);

/// H[i, j] = d²loss / dx_i dx_j; symmetric up to rounding.   loss of one element, x [..] -> [size, size]
///
/// Costs one backward pass for each element of x. Throws when the loss has more than one element.
Tensor hessian(const Var& loss, const Var& x);
Tensor hessian(const Var& loss, const Parameter& x);

}  // namespace tapegrad
