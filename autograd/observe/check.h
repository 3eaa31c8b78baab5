/// The check for NaN and infinity that a tape with `.check` makes, and its error.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "../base/error.h"
#include "../op.h"

namespace tapegrad {

/// Thrown by a tape with `.check` at the first NaN or infinity, forward or backward; the tape is then as it
/// was before the op, or before the pass. The text names the op, its path and place on the tape, the element,
/// and the ranges of all inputs:
///
///     decoder.norm: check: log made -inf at [1] in result 0, on tape position 7; input 0 [2] in [0, 3]
///
/// The text says `given` when the value came in with a constant, a variable or a parameter. Results that an
/// op saves for its backward and values inside a definition are not checked. A `masked_fill` with -inf counts
/// as making it: use a Mask, or -1e30.
class NonFiniteError : public Error {
  using Error::Error;
};

/// Row-major number of the first element that is NaN or infinite; -1 when all are finite, as in every dtype
/// but f32 and f64.
Index first_non_finite(const TensorView& x);
/// `[2, 3] in [-1, 2.5]`, `…, 2 NaN, 1 infinite` where there are some.
std::string range_text(const TensorView& x);

// Parts of the text of a NonFiniteError:

/// Number of the first NaN or infinity in a part of `x`; -1 when there is none.
Index first_non_finite(const TensorView& x, Range part);
/// `NaN at [1, 0, 2]`; without the place for a scalar.
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
