/// Ops that reorder axes.
#pragma once
#include <initializer_list>
#include <span>

#include "../tape.h"

namespace tapegrad {

/// y[i_axes[0], i_axes[1], …] = x[i_0, i_1, …]: axis k of the result is axis `axes[k]` of x;  dx = dy
/// permuted back. `axes` names every axis of x once (negative ones count from the end); throws otherwise.
Var permute(const Var& x, std::span<const int> axes);
inline Var permute(const Var& x, std::initializer_list<int> axes) {
  return permute(x, std::span<const int>(axes.begin(), axes.size()));
}
/// Swaps two axes: by default the last two, as in Aᵀ.
Var transpose(const Var& x, int a = -2, int b = -1);

}  // namespace tapegrad
