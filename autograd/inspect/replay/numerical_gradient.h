/// Numerical gradients of recorded values, by replaying the recording in f64.
#pragma once
#include <span>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

struct NumericalGradient {
  std::vector<double> values;  ///< one for each requested element
  /// True at elements without a derivative: the function has a kink within the smallest step, or is not
  /// finite.
  std::vector<bool> kink;
};

/// dloss/dx at some elements (row-major) by the five-point stencil (Abramowitz and Stegun, 25.3.6) in f64,
///
///     (-L(x + 2h) + 8 L(x + h) - 8 L(x - h) + L(x - 2h)) / 12h,
///
/// h = 1e-4 max(1, |x|), reduced down to a hundredth of that when the estimates of one and two steps
/// disagree, as they do near a kink. A recording in f32 is replayed in f64; dropout keeps its draws. x is any
/// recorded value, not only a variable: the ops that computed it do not run. The gradient is 0 when the loss
/// does not depend on x. `loss` must have one element. Throws the errors of Replay.
NumericalGradient numerical_gradient(const Var& loss, const Var& x, std::span<const Index> elements);
/// dloss/dx at every element: f64, of x's shape.
Tensor numerical_gradient(const Var& loss, const Var& x);

}  // namespace tapegrad
