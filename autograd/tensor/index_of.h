/// The index along each axis of an element given by its row-major number.
#pragma once
#include "shape.h"

namespace tapegrad {

/// Row-major index of element `i` of `shape`, which has that many; prints as `[1, 0, 2]`.
inline Shape index_of(const Shape& shape, Index i) {
  Shape index = shape;
  for (int axis = shape.rank(); axis-- > 0; i /= shape[axis]) index[axis] = i % shape[axis];
  return index;
}

}  // namespace tapegrad
