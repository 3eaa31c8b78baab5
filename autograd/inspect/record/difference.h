/// Compares two recordings and finds the first value or gradient that differs.
#pragma once
#include <optional>
#include <string>

#include "record.h"

namespace tapegrad {

/// The first place where two recordings differ.
struct Difference {
  enum class Kind {
    missing,    ///< one recording has no value of this number
    structure,  ///< another op, layer, shape or other inputs
    value,      ///< another number in the forward
    gradient,   ///< another number in the backward, or reached in one recording alone
  } kind = Kind::value;
  std::uint32_t id = 0;  ///< of the value
  std::string text;      ///< the difference in one line
  Index element = -1;    ///< row-major, of the numbers that differ
  double a = 0, b = 0;   ///< the two numbers
};

/// Compares two recordings of one computation, for example with other parameters, another kernel or on
/// another machine. Returns the first value that differs in the order of execution, or else the first
/// gradient in the order of the backward pass; nullopt when all agree. Numbers differ when they are further
/// apart than `tolerance` times the largest magnitude in both arrays; with 0, when any bit differs (NaN
/// equals NaN). Labels, times and checks are not compared. Throws when `tolerance` is negative or NaN.
std::optional<Difference> diff(const TapeRecord& a, const TapeRecord& b, double tolerance = 0);

/// One line: `value 12, encoder.layers.0.norm1 layer_norm [2, 5, 16]: element [0, 3, 1] is 0.25 and 0.5`, or
/// `no difference`.
std::string to_text(const std::optional<Difference>& difference);

}  // namespace tapegrad
