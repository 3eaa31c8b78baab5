/// Comparisons, which give boolean Tensors, and ops that choose by a boolean Tensor.
#pragma once
#include "arithmetic.h"

namespace tapegrad {

/// Element-wise comparisons with broadcasting. The result is a boolean Tensor that owns its memory, never a
/// Var: no gradient flows.
Tensor equal(const Var& a, const Var& b);
Tensor not_equal(const Var& a, const Var& b);
Tensor less(const Var& a, const Var& b);
Tensor less_equal(const Var& a, const Var& b);
Tensor greater(const Var& a, const Var& b);
Tensor greater_equal(const Var& a, const Var& b);

/// c = condition ? a : b, all three broadcast together;  da = condition ? dc : 0, db = condition ? 0 : dc.
/// `condition` is boolean.
Var where(const Tensor& condition, const Var& a, const Var& b);
/// y = mask ? value : x;  dx = mask ? 0 : dy. `mask` is boolean and broadcasts to x.
Var masked_fill(const Var& x, const Tensor& mask, double value);

/// With a number or a Tensor in the place of a Var: `greater(x, 0.0)`, `where(x > y, x, 0.0)`.
template <Constant C>
Var where(const Tensor& condition, const Var& a, const C& b) {
  return where(condition, a, detail::constant_on(a, b));
}
template <Constant C>
Var where(const Tensor& condition, const C& a, const Var& b) {
  return where(condition, detail::constant_on(b, a), b);
}

/// A Var beside a number or a Tensor, in either order.
template <class A, class B>
concept Mixed = (std::same_as<A, Var> && Constant<B>) || (Constant<A> && std::same_as<B, Var>);
/// A Var beside a Var, a number or a Tensor.
template <class A, class B>
concept Compared = (std::same_as<A, Var> && std::same_as<B, Var>) || Mixed<A, B>;

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
requires Mixed<A, B> Tensor equal(const A& a, const B& b) {
  return equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Mixed<A, B> Tensor not_equal(const A& a, const B& b) {
  return not_equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Mixed<A, B> Tensor less(const A& a, const B& b) {
  return less(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Mixed<A, B> Tensor less_equal(const A& a, const B& b) {
  return less_equal(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Mixed<A, B> Tensor greater(const A& a, const B& b) {
  return greater(detail::as_var(a, b), detail::as_var(b, a));
}
template <class A, class B>
requires Mixed<A, B> Tensor greater_equal(const A& a, const B& b) {
  return greater_equal(detail::as_var(a, b), detail::as_var(b, a));
}

/// The result of a comparison by an operator: a boolean Tensor that is a truth value, too, when it has one
/// element (`while (loss > 0.1)`). The truth value of more elements throws, as in PyTorch.
class BoolTensor : public Tensor {
 public:
  explicit BoolTensor(Tensor result) : Tensor(std::move(result)) {}
  explicit operator bool() const;
};

template <class A, class B>
requires Compared<A, B> BoolTensor operator==(const A& a, const B& b) { return BoolTensor(equal(a, b)); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator!=(const A& a, const B& b) { return BoolTensor(not_equal(a, b)); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator<(const A& a, const B& b) { return BoolTensor(less(a, b)); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator<=(const A& a, const B& b) { return BoolTensor(less_equal(a, b)); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator>(const A& a, const B& b) { return BoolTensor(greater(a, b)); }
template <class A, class B>
requires Compared<A, B> BoolTensor operator>=(const A& a, const B& b) {
  return BoolTensor(greater_equal(a, b));
}

}  // namespace tapegrad
