#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

/// How far a recorded f32 value, or its gradient, is from what f64 gives for the same leaves.
struct NumericError {
  Var value;
  std::uint32_t node = 0;  ///< place on the tape
  std::string op, path;    ///< what made the value, and the layer that ran it; leaves have no op
  Shape shape;
  double absolute = 0;  ///< max |f32 - f64|, infinite where only one of them is finite
  /// The same by max |f64|, for a gradient by no less than 1e-3: one that is 0 but for rounding, such as that
  /// of a key's bias, is no loss of precision.
  double relative = 0;
  Index cell = 0;                  ///< where it is, row-major
  double recorded = 0, exact = 0;  ///< f32 and f64 there
  /// For values alone. Relative error that this op's own rounding made: f64 run on the recorded f32 inputs.
  double own = 0;
  double inherited = 0;  ///< largest `relative` of the op's inputs
  /// relative / max(own, inherited): about 1 where errors pass through, large where the op magnifies those of
  /// its inputs (a difference of nearly equal numbers, a normalisation of nearly equal ones).
  double growth = 1;
  /// `encoder.layers.0.linear at [1, 2, 7]`
  std::string place() const;
};

/// Where single precision is lost, worst first.
struct NumericsLens {
  std::vector<NumericError> values, gradients;
};

/// The recorded values of an f32 tape against a replay in f64. Values of equal error stand in the order of
/// execution. Throws when the tape does not compute in f32, and what Replay throws.
NumericsLens numerics_lens(const Tape& tape);
/// Those up to `loss`, and the gradients `g` of a backward pass from it: against a walk back in f64 over the
/// replayed values.
NumericsLens numerics_lens(const Var& loss, const Gradients& g);

/// Tables of the `rows` worst values and gradients.
std::string to_text(const NumericsLens& lens, std::size_t rows = 10);

}  // namespace tapegrad
