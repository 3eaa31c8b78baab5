#pragma once
#include <initializer_list>
#include <span>

#include "../tape.h"

namespace tapegrad {

/// Reductions over all elements (the result is a scalar) or over some axes, where negative axes count from
/// the end. `keep` leaves the reduced axes with extent 1; otherwise they are dropped. Every function throws
/// when an axis is out of range. The order of additions follows from the extents alone: along the last axis
/// 16 interleaved partial sums, joined by a fixed tree, else ascending.

/// y = Σ x, 0 over nothing;  dx = dy repeated.
Var sum(const Var& x);
Var sum(const Var& x, int axis, bool keep = false);
/// Over several axes (none: x itself); throws when one is named twice.
Var sum(const Var& x, std::initializer_list<int> axes, bool keep = false);
/// y = Σ x / n, NaN over nothing;  dx = dy / n repeated.
Var mean(const Var& x);
Var mean(const Var& x, int axis, bool keep = false);
Var mean(const Var& x, std::initializer_list<int> axes, bool keep = false);

/// The largest element, NaN when there is one;  equal maxima share dy equally (PyTorch's amax). Throws when
/// there are no elements.
Var max(const Var& x);
Var max(const Var& x, int axis, bool keep = false);
/// The smallest element, NaN when there is one;  equal minima share dy equally. Throws when there are no
/// elements.
Var min(const Var& x);
Var min(const Var& x, int axis, bool keep = false);

/// y = Σ (x − mean)² / n, or / (n − 1) when `unbiased`;  dx = 2 dy ⊙ (x − mean) over the same divisor. Made
/// of other ops. Throws when the divisor would be 0.
Var var(const Var& x, int axis, bool keep = false, bool unbiased = false);
/// y = √Σ x², the Euclidean norm;  dx = dy ⊙ x / y, 0 where y = 0.
Var norm(const Var& x, int axis, bool keep = false);

/// Positions, dtype i64, of the largest elements along `axis`, which is dropped: the first of equal ones, the
/// first NaN if there is one. No gradient flows. Throws when `axis` has extent 0.
Tensor argmax(const Tensor& x, int axis);
Tensor argmax(const Var& x, int axis);
/// The same for every row of x [rows, columns], into `best` [rows], without an allocation.
void argmax_rows(const Tensor& x, std::span<Index> best);

}  // namespace tapegrad
