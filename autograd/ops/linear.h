#pragma once
#include "../tape.h"

namespace tapegrad {

/// Rows begin … begin + count − 1 of a matrix [rows, width], or elements of a vector [rows]: an operand of
/// `linear` that is read where it stands, as one projection of a packed weight. A whole Var converts to all
/// of its rows, an empty one to an empty RowView.
struct RowView {
  Var of = {};
  Index begin = 0, count = 0;

  RowView() = default;
  RowView(const Var& whole);
  /// Throws unless `x` has these rows.
  RowView(const Var& x, Index first, Index number);

  explicit operator bool() const { return static_cast<bool>(of); }
};

inline RowView rows(const Var& x, Index begin, Index count) { return {x, begin, count}; }

/// y = x Wᵀ + b;  dx = dy W, dW = dyᵀ x, db = Σ over rows of dy.
///
///   x [..., in], weight [out, in], bias [out] or empty -> [..., out]
///
/// Of a packed weight and bias, `linear(x, rows(w, begin, out), rows(b, begin, out))` reads one projection:
/// y = x W[rows]ᵀ + b[rows], and dW and db are 0 outside these rows. Throws when the shapes do not fit.
Var linear(const Var& x, const RowView& weight, const RowView& bias = {});

}  // namespace tapegrad
