/// Comparisons, which give boolean Tensors, and ops that choose by a boolean Tensor.
#pragma once
#include "arithmetic.h"

namespace tapegrad {

/// The result of a comparison: a boolean Tensor that owns its memory, never a Var, since no gradient flows.
/// It is a truth value, too, when it has one element (`while (loss > 0.1)`). The truth value of more elements
/// throws, as in PyTorch.
class BoolTensor : public Tensor {
 public:
  explicit BoolTensor(Tensor result) : Tensor(std::move(result)) {}
  explicit operator bool() const;
};

/// Element-wise comparisons with broadcasting, also as operators, of Vars that may stand beside a number or a
/// Tensor: `greater(x, 0.0)`, `x > y`. Throws when the shapes do not broadcast.
BoolTensor equal(const Var& a, const Var& b);
BoolTensor not_equal(const Var& a, const Var& b);
BoolTensor less(const Var& a, const Var& b);
BoolTensor less_equal(const Var& a, const Var& b);
BoolTensor greater(const Var& a, const Var& b);
BoolTensor greater_equal(const Var& a, const Var& b);

/// c = condition ? a : b, all three broadcast together;  da = condition ? dc : 0, db = condition ? 0 : dc.
/// `condition` is boolean.
Var where(const Tensor& condition, const Var& a, const Var& b);
/// y = mask ? value : x;  dx = mask ? 0 : dy. `mask` is boolean and broadcasts to x.
Var masked_fill(const Var& x, const Tensor& mask, double value);

/// With a number or a Tensor in the place of a Var: `where(x > y, x, 0.0)`.
template <Constant C>
Var where(const Tensor& condition, const Var& a, const C& b) {
  return where(condition, a, detail::constant_on(a, b));
}
template <Constant C>
Var where(const Tensor& condition, const C& a, const Var& b) {
  return where(condition, detail::constant_on(b, a), b);
}

/// A Var beside a Var, a number or a Tensor, in either order.
template <class A, class B>
concept Compared = (std::same_as<A, Var> && (std::same_as<B, Var> || Constant<B>)) ||
                   (Constant<A> && std::same_as<B, Var>);

namespace detail {

/// `x` as a Var on the tape of `beside`.
template <class B>
const Var& as_var(const Var& x, const B&) {
  return x;
}
template <Constant C>
Var as_var(const C& x, const Var& beside) {
  return constant_on(beside, x);
}

}  // namespace detail

template <class A, class B>
requires Compared<A, B> BoolTensor equal(const A& a, const B& b) {
  return equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Compared<A, B> BoolTensor not_equal(const A& a, const B& b) {
  return not_equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Compared<A, B> BoolTensor less(const A& a, const B& b) {
  return less(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Compared<A, B> BoolTensor less_equal(const A& a, const B& b) {
  return less_equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Compared<A, B> BoolTensor greater(const A& a, const B& b) {
  return greater(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Compared<A, B> BoolTensor greater_equal(const A& a, const B& b) {
  return greater_equal(detail::as_var(a, b), detail::as_var(b, a));
}

template <class A, class B>
requires Compared<A, B> BoolTensor operator==(const A& a, const B& b) { return equal(a, b); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator!=(const A& a, const B& b) { return not_equal(a, b); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator<(const A& a, const B& b) { return less(a, b); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator<=(const A& a, const B& b) { return less_equal(a, b); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator>(const A& a, const B& b) { return greater(a, b); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator>=(const A& a, const B& b) { return greater_equal(a, b); }

}  // namespace tapegrad
