#pragma once
#include <span>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

struct NumericalGradient {
  std::vector<double> values;  ///< one for each element asked for
  /// There is no derivative there: the function bends within the smallest step, or is not finite.
  std::vector<bool> kink;
};

/// dloss/dx at some elements (row-major) by the five-point stencil (Abramowitz and Stegun, 25.3.6) in f64,
///
///     (-L(x + 2h) + 8 L(x + h) - 8 L(x - h) + L(x - 2h)) / 12h,
///
/// h = 1e-4 max(1, |x|), down to a hundredth of that where the estimates of one and two steps disagree, as
/// they do beside a kink. A recording in f32 is replayed in f64, dropout with the draws it took. x is any
/// recorded value, not only a variable: the ops that computed it do not run. What the loss does not depend on
/// has 0 everywhere. `loss` has one element; otherwise throws what Replay throws.
NumericalGradient numerical_gradient(const Var& loss, const Var& x, std::span<const Index> elements);
/// The same at every element: f64, of x's shape.
Tensor numerical_gradient(const Var& loss, const Var& x);

}  // namespace tapegrad
