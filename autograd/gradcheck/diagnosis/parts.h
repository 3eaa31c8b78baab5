/// Splits the numeric gradient of a recorded value into the contributions of its uses, for the diagnosis.
#pragma once
#include <iterator>

#include "../../tape.h"
#include "diagnosis.h"

namespace tapegrad {

/// The gradient of <y, cotangent> with respect to `x`, one part for every use of `x` by an op on the way to
/// `y`. Each op from there on runs again with that one input moved and everything else as recorded (f64), so
/// the derivatives are independent of every pullback. Where an op broadcasts `x`, its part is the gradient of
/// the broadcast value. At most `budget` elements are moved in all; a recording that needs more gives an
/// empty list.
std::vector<GradientPart> gradient_parts(const Tape& tape, const Var& x, const Var& y,
                                         const std::vector<double>& cotangent, double step, Index budget);

/// The steps that the five-point stencil tries when one step is not accurate enough, as multiples of the
/// default.
constexpr double stencil_refinements[] = {4, 1, 1.0 / 4, 1.0 / 16, 1.0 / 64};
/// The index of the best of the estimates at these steps: the first of the two neighbours that agree best,
/// where the sum of truncation and rounding errors is smallest.
std::size_t steadiest(const double (&estimates)[std::size(stencil_refinements)]);

}  // namespace tapegrad
