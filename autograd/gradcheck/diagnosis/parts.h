#pragma once
#include <iterator>

#include "../../tape.h"
#include "diagnosis.h"

namespace tapegrad {

/// The gradient of <y, cotangent> with respect to `x`, apart for every use of `x` by an op on the way to `y`.
/// Each op from there on is run again with that one input moved and all else as recorded (f64), so that the
/// derivatives owe nothing to a pullback. Where an op broadcasts `x`, its part is that of the broadcast
/// value. No more than `budget` elements are moved in all; a recording that takes more gives an empty list.
std::vector<GradientPart> gradient_parts(const Tape& tape, const Var& x, const Var& y,
                                         const std::vector<double>& cotangent, double step, Index budget);

/// The steps that the five-point stencil is tried with where one does not do, as multiples of the usual one.
constexpr double stencil_refinements[] = {4, 1, 1.0 / 4, 1.0 / 16, 1.0 / 64};
/// Of estimates for ever smaller steps, the first of the two neighbours that agree best: they bound
/// truncation and rounding.
std::size_t steadiest(const double (&estimates)[std::size(stencil_refinements)]);

}  // namespace tapegrad
