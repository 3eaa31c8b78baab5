/// Ranges of an axis, padding and selection.
#pragma once
#include <initializer_list>

#include "../tape.h"

namespace tapegrad {

/// Parts of x along one axis; a negative `axis` counts from the end.

/// y = x[begin : begin + length] along `axis`;  dx = dy, with zeros around it. Throws unless 0 ≤ begin and
/// begin + length ≤ extent.
Var slice(const Var& x, int axis, Index begin, Index length);
/// y = x[begins[0] : ends[0], begins[1] : ends[1], …], one pair for each of the first axes; later axes stay
/// whole. Negative numbers count from the end. `slice(x, {0, 1}, {2, 3})` is NumPy's x[0:2, 1:3], but bounds
/// beyond the extent throw. One `slice` node for each axis that is cut.
Var slice(const Var& x, std::initializer_list<Index> begins, std::initializer_list<Index> ends);
/// y = x in zeros: `before` of them in front of x and `after` behind it along `axis`;  dx = dy[before :
/// before + extent].
Var pad(const Var& x, int axis, Index before, Index after);
/// y = x[i] along `axis`, which is dropped;  dx = dy at i, 0 elsewhere. A negative `i` counts from the end.
Var select(const Var& x, int axis, Index i);
/// y = x in reverse order along `axis`;  dx = dy in reverse order.
Var flip(const Var& x, int axis);

}  // namespace tapegrad
