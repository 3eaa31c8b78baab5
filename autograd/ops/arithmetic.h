/// Addition, subtraction, multiplication and division with broadcasting, and their operators with numbers and
/// Tensors.
#pragma once
#include <concepts>
#include <type_traits>

#include "../tape.h"

namespace tapegrad {

/// Element-wise arithmetic with NumPy's broadcasting: shapes are aligned at the last axis and extents of 1
/// are repeated. In every backward, what was repeated is summed (un-broadcast). One of a and b may be a
/// Parameter. Throws when the shapes do not broadcast.

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

Var add(const Operand& a, const Operand& b);
Var sub(const Operand& a, const Operand& b);
Var mul(const Operand& a, const Operand& b);
Var div(const Operand& a, const Operand& b);
Var maximum(const Operand& a, const Operand& b);
Var minimum(const Operand& a, const Operand& b);

/// y = scale · x + shift for two numbers;  dx = scale · dy.
Var affine(const Var& x, double scale, double shift = 0);

/// y = x repeated to `shape`;  dx = dy summed to x's shape.
Var broadcast_to(const Var& x, const Shape& shape);
/// y = x summed over every axis along which `shape` would have been repeated to x's;  dx = dy repeated.
/// `shape` must broadcast to x's.
Var sum_to(const Var& x, const Shape& shape);

/// The operators + - * / of a Var with a Var, a Parameter, a number or a Tensor. A number makes one `affine`
/// node. A Tensor becomes a constant on the Var's tape, a copy that gets no gradient: one of booleans or
/// integers is converted to the tape's dtype, and one of another floating dtype throws.
inline Var operator+(const Var& a, const Var& b) { return add(a, b); }
inline Var operator-(const Var& a, const Var& b) { return sub(a, b); }
inline Var operator*(const Var& a, const Var& b) { return mul(a, b); }
inline Var operator/(const Var& a, const Var& b) { return div(a, b); }
inline Var operator+(const Operand& a, const Operand& b) { return add(a, b); }
inline Var operator-(const Operand& a, const Operand& b) { return sub(a, b); }
inline Var operator*(const Operand& a, const Operand& b) { return mul(a, b); }
inline Var operator/(const Operand& a, const Operand& b) { return div(a, b); }
inline Var operator-(const Var& x) { return affine(x, -1); }
inline Var operator+(const Var& x, double c) { return affine(x, 1, c); }
inline Var operator+(double c, const Var& x) { return affine(x, 1, c); }
inline Var operator-(const Var& x, double c) { return affine(x, 1, -c); }
inline Var operator-(double c, const Var& x) { return affine(x, -1, c); }
inline Var operator*(const Var& x, double c) { return affine(x, c); }
inline Var operator*(double c, const Var& x) { return affine(x, c); }
inline Var operator/(const Var& x, double c) { return affine(x, 1 / c); }
Var operator/(double c, const Var& x);

/// A number or a Tensor where a Var may stand beside a Var.
template <class T>
concept Constant = std::is_arithmetic_v<T> || std::derived_from<T, Tensor>;
/// An argument that an operator takes beside a Var.
template <class T>
concept BesideVar = std::same_as<T, Var> || std::same_as<T, Parameter> || Constant<T>;

namespace detail {

/// `value` as a constant on the tape of `beside`.
Var constant_on(const Var& beside, double value);
Var constant_on(const Var& beside, const Tensor& value);

}  // namespace detail

inline Var operator+(const Var& x, const Tensor& t) { return add(x, detail::constant_on(x, t)); }
inline Var operator+(const Tensor& t, const Var& x) { return add(detail::constant_on(x, t), x); }
inline Var operator-(const Var& x, const Tensor& t) { return sub(x, detail::constant_on(x, t)); }
inline Var operator-(const Tensor& t, const Var& x) { return sub(detail::constant_on(x, t), x); }
inline Var operator*(const Var& x, const Tensor& t) { return mul(x, detail::constant_on(x, t)); }
inline Var operator*(const Tensor& t, const Var& x) { return mul(detail::constant_on(x, t), x); }
inline Var operator/(const Var& x, const Tensor& t) { return div(x, detail::constant_on(x, t)); }
inline Var operator/(const Tensor& t, const Var& x) { return div(detail::constant_on(x, t), x); }

/// x = x op y: `x` then names the new value; the old one stays on the tape.
template <BesideVar T>
Var& operator+=(Var& x, const T& y) {
  return x = x + y;
}
template <BesideVar T>
Var& operator-=(Var& x, const T& y) {
  return x = x - y;
}
template <BesideVar T>
Var& operator*=(Var& x, const T& y) {
  return x = x * y;
}
template <BesideVar T>
Var& operator/=(Var& x, const T& y) {
  return x = x / y;
}

template <Constant C>
Var maximum(const Var& a, const C& b) {
  return maximum(a, detail::constant_on(a, b));
}
template <Constant C>
Var maximum(const C& a, const Var& b) {
  return maximum(detail::constant_on(b, a), b);
}
template <Constant C>
Var minimum(const Var& a, const C& b) {
  return minimum(a, detail::constant_on(a, b));
}
template <Constant C>
Var minimum(const C& a, const Var& b) {
  return minimum(detail::constant_on(b, a), b);
}

/// Arithmetic on Tensors outside every tape, a new Tensor with the bits of the ops above. f32 or f64; a
/// Tensor of booleans or integers beside one of these is converted to its dtype.
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& x);
Tensor operator+(const Tensor& x, double c);
Tensor operator+(double c, const Tensor& x);
Tensor operator-(const Tensor& x, double c);
Tensor operator-(double c, const Tensor& x);
Tensor operator*(const Tensor& x, double c);
Tensor operator*(double c, const Tensor& x);
Tensor operator/(const Tensor& x, double c);
Tensor operator/(double c, const Tensor& x);

}  // namespace tapegrad
