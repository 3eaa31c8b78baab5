/// The layouts in which attention finds its heads, and operands that are columns of a wider value.
#pragma once
#include <variant>

#include "../../var.h"

namespace tapegrad {

/// Heads on an axis of their own, [batch, heads, time, dim]; without the heads axis, or without batch and
/// heads, there is one head.
struct HeadAxis {};

/// Heads side by side in the last axis, [batch, time, heads · dim], or without batch.
struct PackedHeads {
  Index heads;
};

using HeadLayout = std::variant<HeadAxis, PackedHeads>;

/// Columns begin … begin + width − 1 of the last axis of a value, as attention reads them out of one product
/// that made query, key and value together. A whole Var converts to all of its columns.
struct ColumnView {
  Var of = {};
  Index begin = 0, width = 0;

  ColumnView() = default;
  ColumnView(const Var& whole);
  /// Throws unless `x` has these columns.
  ColumnView(const Var& x, Index first, Index number);

  bool whole() const;
  /// [..., width]
  Shape shape() const;
  /// The columns as a value of their own: `of` where they are all of it, else a slice.
  Var value() const;
};

inline ColumnView columns(const Var& x, Index begin, Index width) { return {x, begin, width}; }

}  // namespace tapegrad
