#pragma once
#include "../tape.h"

namespace tapegrad {

/// Element-wise arithmetic with NumPy's broadcasting: shapes are aligned at the last axis and extents of 1
/// are repeated. In every backward, what was repeated is summed (un-broadcast). Throws when the shapes do not
/// broadcast.

/// c = a + b;  da = dc, db = dc.
Var add(const Var& a, const Var& b);
/// c = a − b;  da = dc, db = −dc.
Var sub(const Var& a, const Var& b);
/// c = a ⊙ b;  da = dc ⊙ b, db = dc ⊙ a.
Var mul(const Var& a, const Var& b);
/// c = a / b;  da = dc / b, db = −dc ⊙ c / b.
Var div(const Var& a, const Var& b);
/// c = max(a, b); the gradient goes to the larger, half to each where they are equal.
Var maximum(const Var& a, const Var& b);
/// c = min(a, b); the gradient goes to the smaller, half to each where they are equal.
Var minimum(const Var& a, const Var& b);
/// y = scale · x + shift for two numbers;  dx = scale · dy.
Var affine(const Var& x, double scale, double shift = 0);

/// y = x repeated to `shape`;  dx = dy summed to x's shape.
Var broadcast_to(const Var& x, const Shape& shape);
/// y = x summed over every axis along which `shape` would have been repeated to x's;  dx = dy repeated.
/// `shape` must broadcast to x's.
Var sum_to(const Var& x, const Shape& shape);

inline Var operator+(const Var& a, const Var& b) { return add(a, b); }
inline Var operator-(const Var& a, const Var& b) { return sub(a, b); }
inline Var operator*(const Var& a, const Var& b) { return mul(a, b); }
inline Var operator/(const Var& a, const Var& b) { return div(a, b); }
inline Var operator-(const Var& x) { return affine(x, -1); }
inline Var operator+(const Var& x, double c) { return affine(x, 1, c); }
inline Var operator+(double c, const Var& x) { return affine(x, 1, c); }
inline Var operator-(const Var& x, double c) { return affine(x, 1, -c); }
inline Var operator-(double c, const Var& x) { return affine(x, -1, c); }
inline Var operator*(const Var& x, double c) { return affine(x, c); }
inline Var operator*(double c, const Var& x) { return affine(x, c); }
inline Var operator/(const Var& x, double c) { return affine(x, 1 / c); }
Var operator/(double c, const Var& x);

}  // namespace tapegrad
