/// Ops that change a shape and keep the order of the elements.
#pragma once
#include <initializer_list>
#include <span>

#include "../tape.h"

namespace tapegrad {

/// Other shapes for the same elements, in row-major order: y = x;  dx = dy under x's shape.

/// The new shape must hold as many elements as x; one extent may be −1 and follows from the others. Throws
/// otherwise.
Var reshape(const Var& x, std::span<const Index> extents);
inline Var reshape(const Var& x, std::initializer_list<Index> extents) {
  return reshape(x, std::span<const Index>(extents.begin(), extents.size()));
}
inline Var reshape(const Var& x, const Shape& shape) {
  return reshape(x, std::span<const Index>(shape.begin(), shape.end()));
}
/// Axes `first` to `last` (both included, negative ones count from the end) become one; a scalar becomes [1].
Var flatten(const Var& x, int first = 0, int last = -1);
/// Drops `axis`. Throws unless its extent is 1.
Var squeeze(const Var& x, int axis);
/// A new axis of extent 1 at `axis` of the result (−1 appends one).
Var unsqueeze(const Var& x, int axis);

}  // namespace tapegrad
