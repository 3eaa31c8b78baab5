/// Linear maps with weights as PyTorch stores them, whole or packed.
#pragma once
#include "../tape.h"

namespace tapegrad {

/// Rows begin … begin + count − 1 of a matrix [rows, width], or elements of a vector [rows]: an operand of
/// `linear` that is read where it stands, as one projection of a packed weight. A whole Var or Parameter
/// converts to all of its rows, an empty one to an empty RowView. A Parameter must outlive the view.
class RowView {
 public:
  RowView() = default;
  RowView(const Var& whole);
  RowView(const Parameter& whole);
  /// Throws unless the operand has these rows.
  RowView(const Var& x, Index first, Index number);
  RowView(const Parameter& p, Index first, Index number);

  explicit operator bool() const { return static_cast<bool>(operand()); }
  Operand operand() const { return parameter_ != nullptr ? Operand(*parameter_) : Operand(var_); }
  Index begin() const { return begin_; }
  Index count() const { return count_; }
  /// The rows from the first of these to the last of `other`, which are rows of the same operand.
  RowView up_to(const RowView& other) const;
  /// True when `other` are the rows behind these, of the same operand; two empty views are neighbours.
  bool precedes(const RowView& other) const;

 private:
  void check() const;

  Var var_;
  const Parameter* parameter_ = nullptr;
  Index begin_ = 0, count_ = 0;
};

inline RowView rows(const Var& x, Index begin, Index count) { return {x, begin, count}; }
inline RowView rows(const Parameter& p, Index begin, Index count) { return {p, begin, count}; }

/// y = x Wᵀ + b;  dx = dy W, dW = dyᵀ x, db = Σ over rows of dy.
///
///   x [..., in], weight [out, in], bias [out] or empty -> [..., out]
///
/// Of a packed weight and bias, `linear(x, rows(w, begin, out), rows(b, begin, out))` reads one projection:
/// y = x W[rows]ᵀ + b[rows], and dW and db are 0 outside these rows. Throws when the shapes do not fit.
Var linear(const Var& x, const RowView& weight, const RowView& bias = {});

/// For ops that contain a `linear`: the shape of its result for the inputs x, weight and, where there is one,
/// bias, of which it reads `rows` and `bias_rows` rows. Throws, naming `op`, when the shapes do not fit.
Shape linear_shape(const char* op, Views inputs, Index rows, Index bias_rows);

}  // namespace tapegrad
