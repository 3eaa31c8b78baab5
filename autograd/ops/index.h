/// Ops that read or add by index: embedding, gather, scatter_add, index_select.
#pragma once
#include <optional>

#include "../tape.h"

namespace tapegrad {

/// Picking elements by integer tensors (dtype i64), which are copied onto the tape. An index below 0 or
/// beyond the end throws with its position and the bound: `embedding: id 12 at position [0, 3] is out of
/// range for 11 rows`. Gradients of an element that was picked several times are added in row-major order of
/// the indices.

/// y[..., :] = weight[ids[...], :];  dweight[ids[...], :] += dy[..., :].
///
///   weight [rows, width], ids [...] -> [..., width]
///
/// Row `padding_idx`, if there is one, gets no gradient.
Var embedding(const Var& weight, const Tensor& ids, std::optional<Index> padding_idx = std::nullopt);
/// Throws what `embedding` throws of its arguments.
void check_embedding(const Shape& weight, const Tensor& ids, std::optional<Index> padding_idx);
/// y[..., j, ...] = x[..., ids[..., j, ...], ...] along `axis`;  dx[..., ids[..., j, ...], ...] += dy[..., j,
/// ...]. `ids` has x's rank and, on every axis but `axis`, x's extents; y has the shape of ids (NumPy's
/// take_along_axis).
Var gather(const Var& x, int axis, const Tensor& ids);
/// y = zeros of extent `extent` along `axis`, y[..., ids[..., j, ...], ...] += x[..., j, ...];  dx =
/// gather(dy, axis, ids). x and ids have one shape.
Var scatter_add(const Var& x, int axis, const Tensor& ids, Index extent);
/// y = x[ids] along `axis`, ids of rank 1;  dx[ids] += dy.
Var index_select(const Var& x, int axis, const Tensor& ids);
/// y = zeros of extent `extent` along `axis`, y[ids] += x;  dx = index_select(dy, axis, ids). ids [x's extent
/// along `axis`].
Var index_add(const Var& x, int axis, const Tensor& ids, Index extent);

}  // namespace tapegrad
