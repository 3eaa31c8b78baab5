/// Concatenation and stacking of values.
#pragma once
#include <initializer_list>
#include <span>

#include "../tape.h"

namespace tapegrad {

/// Joining and cutting along one axis; a negative `axis` counts from the end.

/// y = the parts one after another along `axis`;  each part's gradient is its slice of dy. All parts have the
/// same rank and the same extents on every other axis; throws otherwise, or without a part.
Var concat(std::span<const Var> parts, int axis);
inline Var concat(std::initializer_list<Var> parts, int axis) {
  return concat(std::span<const Var>(parts.begin(), parts.size()), axis);
}
/// y = the parts, all of one shape, along a new axis at `axis` of the result.
Var stack(std::span<const Var> parts, int axis = 0);
inline Var stack(std::initializer_list<Var> parts, int axis = 0) {
  return stack(std::span<const Var>(parts.begin(), parts.size()), axis);
}
/// Slices of the given lengths along `axis`. Throws unless they add up to its extent.
VarList split(const Var& x, std::span<const Index> sizes, int axis);
inline VarList split(const Var& x, std::initializer_list<Index> sizes, int axis) {
  return split(x, std::span<const Index>(sizes.begin(), sizes.size()), axis);
}
/// `count` slices of equal length along `axis`. Throws unless `count` divides its extent.
VarList chunk(const Var& x, Index count, int axis);

}  // namespace tapegrad
