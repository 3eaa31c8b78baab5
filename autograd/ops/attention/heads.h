/// The ways into and out of the heads of multi-head attention: W_Q, W_K, W_V, and the heads of what they
/// give.
#pragma once

#include "../linear.h"
#include "attention.h"

namespace tapegrad {

/// Query, key and value, one for each.
template <class T>
struct QueryKeyValue {
  T query, key, value;
};

using Projections = QueryKeyValue<ColumnView>;

/// Q = x_Q W_Qᵀ + b_Q,  K = x_K W_Kᵀ + b_K,  V = x_V W_Vᵀ + b_V;  each [batch, time, heads · dim].
///
/// `together`: projections of one value by neighbouring rows of one weight are computed by one product and
/// returned as its columns; a tape with `.show_parts` computes one product each. Throws when the shapes do
/// not fit.
Projections in_projection(const QueryKeyValue<Var>& x, const QueryKeyValue<RowView>& weight,
                          const QueryKeyValue<RowView>& bias, bool together = true);

/// Query, key and value with their heads, for `attention` with this layout.
struct Heads : Projections {
  HeadLayout layout;
};

/// [batch, time, heads · dim], or without batch -> [batch, heads, time, dim]. Throws when the shape does not
/// fit.
Var split_heads(const Var& x, Index heads);
/// On a tape with `.show_parts` the heads get an axis of their own; otherwise they are read from the columns.
Heads split_heads(const Projections& x, Index heads);

/// [batch, heads, time, dim] -> [batch, time, heads · dim], or without batch where `rank` is 2.
Var merge_heads(const Var& x, int rank);

}  // namespace tapegrad
