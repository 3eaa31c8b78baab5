/// Reports the loss of precision of an f32 tape: compares its recorded values and gradients with a replay in
/// f64.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

/// The error of a recorded f32 value, or of its gradient, against f64 computed from equal leaves.
struct NumericError {
  Var value;
  std::uint32_t node = 0;  ///< place on the tape
  std::string op, path;    ///< the op of the value and the layer that ran it; empty for leaves
  Shape shape;
  double absolute = 0;  ///< max |f32 - f64|, infinite where only one of them is finite
  /// `absolute` relative to max |f64|, for a gradient relative to at least 1e-3: a gradient that is 0 up to
  /// rounding, such as that of a key's bias, is no loss of precision.
  double relative = 0;
  Index cell = 0;                  ///< the worst element, row-major
  double recorded = 0, exact = 0;  ///< f32 and f64 there
  /// For values only: the relative error of this op's own rounding, against the op in f64 on the recorded f32
  /// inputs.
  double own = 0;
  double inherited = 0;  ///< largest `relative` of the op's inputs
  /// relative / max(own, inherited): about 1 where errors pass through, large where the op magnifies those of
  /// its inputs (a difference of nearly equal numbers, a normalisation of nearly equal ones).
  double growth = 1;
  /// `encoder.layers.0.linear at [1, 2, 7]`
  std::string place() const;
};

/// The errors of all values and gradients, worst first.
struct PrecisionReport {
  std::vector<NumericError> values, gradients;
};

/// Compares the recorded values of an f32 tape with a replay in f64. Values of equal error are in the order
/// of execution. Throws when the tape does not compute in f32, and the errors of Replay.
PrecisionReport precision_report(const Tape& tape);
/// Compares the values up to `loss`, and the gradients `g` of a backward pass from it with a backward pass in
/// f64 over the replayed values.
PrecisionReport precision_report(const Var& loss, const Gradients& g);

/// Tables of the `rows` worst values and gradients.
std::string to_text(const PrecisionReport& report, std::size_t rows = 10);

}  // namespace tapegrad
