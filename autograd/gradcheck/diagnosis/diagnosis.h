/// Names the usual programming mistake behind a gradient that fails gradcheck: `diagnose` compares the
/// analytic gradients with the numeric ones under each known mistake and returns a sentence.
#pragma once
#include <string>
#include <vector>

#include "../../tensor/shape.h"

namespace tapegrad {

/// The part of a value's gradient that flows through one of its uses, by finite differences.
struct GradientPart {
  std::string through;          ///< the use: `input 1 of mul`
  Shape shape;                  ///< the value's shape, or the wider shape that it is broadcast to in this use
  std::vector<double> numeric;  ///< of every element of `shape`
};

/// The Jacobian of the result, by finite differences.
struct NumericJacobian {
  std::string transposed;  ///< the other input whose last two axes are swapped for it; empty for none
  /// By element of the subject, then of the result; an element that was not compared has none.
  std::vector<std::vector<double>> derivatives;
};

/// One checked input or parameter with its analytic and numeric gradients.
struct CheckedSubject {
  std::string name;  ///< `input 0`, `parameter 'layer.weight'`
  Shape shape;
  std::vector<double> value, analytic, numeric;
  std::vector<bool> compared;                   ///< true at elements whose derivative is in `numeric`
  std::vector<double> numeric_of_ones = {};     ///< as `numeric`, for a cotangent of ones; may be empty
  std::vector<double> analytic_again = {};      ///< of a second evaluation; may be empty
  std::vector<GradientPart> parts = {};         ///< one for every use, if they are known
  std::vector<NumericJacobian> jacobians = {};  ///< the first as it is; may be empty
};

/// The input of `diagnose`: every checked subject and the result of the function.
struct CheckedGradients {
  std::vector<CheckedSubject> subjects;
  Shape result_shape;
  std::vector<double> result, result_again = {};  ///< f(x), and of a second evaluation; may be empty
  double tolerance = 1e-8, floor = 1e-3;          ///< as in GradcheckOptions
  std::vector<double> cotangent = {};             ///< that of the gradients; `jacobians` need it
};

/// Returns the mistakes that fit, in plain words; empty when none fits or when nothing is wrong. A mistake is
/// named only if it explains every compared element of a subject to the tolerance and at least two elements
/// that are not 0; the factors -1, 2 and 1/2 need only one such element and are then reported as `would fit`.
/// The first mistake in this order is taken:
///
///  1. another value or gradient in a second evaluation, or a value that is not finite; then nothing else
///  2. a gradient that is not finite
///  3. no gradient, or one for what the function does not depend on
///  4. the gradients of two inputs swapped, also with the sign
///  5. the cotangent ignored
///  6. one or more of several uses lost (`=` for `+=`), or one with a wrong sign or factor; a constant factor
///     that fits as well is said too
///  7. a constant factor: sign, 2, 1/2, an extent or a count n (a sum for a mean), 1/n, sqrt n, any other
///  8. one index of a broadcast axis instead of the sum over it; of an axis of the result one index alone, or
///     all but one (`=` for `+=`, the bounds of a loop); only the last element of the result that is reached
///  9. the gradient of another input
/// 10. two axes swapped, also of the layout of data that is not square, also with the sign
/// 11. reversed or shifted along an axis, summed along an axis and repeated
/// 12. another input, the cotangent or both transposed (last two axes), a product in the wrong order, also
///     with the sign
/// 13. only the diagonal of the Jacobian, or all but the diagonal, or a softmax without its sum
/// 14. a factor x, y or another input missing or too many (or its square, 1 - v, 1 - v^2, v (1 - v)), x
///     for y, also with the sign
/// 15. a mask missing, the wrong way round, or one that hides too much
/// 16. float precision
/// 17. only some elements wrong, and where
std::string diagnose(const CheckedGradients& gradients);

}  // namespace tapegrad
