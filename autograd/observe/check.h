#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "../base/error.h"
#include "../op.h"

namespace tapegrad {

/// What a tape with `.check` throws for the first NaN or infinity, forward or backward; after it the tape is
/// as it was before the op, or before the pass. The text names the op, its path and place on the tape, the
/// element, and the ranges of all that went in:
///
///     decoder.norm: check: log made -inf at [1] in result 0, on tape position 7; input 0 [2] in [0, 3]
///
/// An op that gets one from outside was `given` it, in a constant, variable or parameter. What an op keeps
/// for its own backward is not looked at, nor what lies inside of a definition. A `masked_fill` with -inf
/// counts as making it: say a Mask, or -1e30.
class NonFiniteError : public Error {
  using Error::Error;
};

/// Row-major number of the first element that is NaN or infinite; -1 when all are finite. Other dtypes than
/// f32 and f64 always are.
Index first_non_finite(const TensorView& x);
/// `[2, 3] in [-1, 2.5]`, `…, 2 NaN, 1 infinite` where there are some.
std::string range_text(const TensorView& x);

// For those who throw a NonFiniteError:

/// Number of the first such element in a part of `x`.
Index first_non_finite(const TensorView& x, Range part);
/// `NaN at [1, 0, 2]`; of a scalar without a place.
std::string element_text(const TensorView& x, Index element);
/// `input 0 [2, 3] in [-1, 2.5]; input 1 …`
template <class List>
std::string list_ranges(const char* name, const List& views) {
  std::string text;
  for (std::size_t i = 0; i < views.size(); ++i)
    text += fmt::format("{}{} {} {}", i == 0 ? "" : "; ", name, i, range_text(views[i]));
  return text;
}

}  // namespace tapegrad
