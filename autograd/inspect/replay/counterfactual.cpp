#include "counterfactual.h"

#include <algorithm>

#include "replay.h"

namespace tapegrad {

Counterfactual what_if(const Var& loss, const Gradients& g, const Var& x, const Tensor& value) {
  Tape& tape = loss.tape("what_if");
  x.tape("what_if");
  expects(loss.size() == 1, "what_if: the loss must have one element, got shape {}", loss.shape());
  expects(static_cast<bool>(value) && value.shape() == x.shape() && value.dtype() == x.dtype(),
          "what_if: a value of {} {} cannot stand for one of {} {}", dtype_name(value.dtype()), value.shape(),
          dtype_name(x.dtype()), x.shape());
  expects(x.needs_grad(), "what_if: this value of shape {} is a constant, which has no gradient", x.shape());
  Replay replay(tape, DType::f64);
  Counterfactual result;
  result.loss = replay[loss].item();
  Tensor changed = replay[x].clone();
  const std::vector<double> before = x.value().to_vector(), after = value.to_vector(),
                            slope = g.contains(x) ? g[x].to_vector() : std::vector<double>(before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (after[i] == before[i]) continue;
    result.predicted += slope[i] * (after[i] - before[i]);
    changed.data<double>()[i] = after[i];
  }
  replay.set(x, changed);
  replay.run(loss);
  result.changed_loss = replay[loss].item();
  result.change = result.changed_loss - result.loss;
  return result;
}

namespace {

/// A copy of x's value, viewed as [.., blocks, inner], in which every element of block `block` is `value`.
Tensor with_block(const Var& x, Index blocks, Index block, Index inner, double value) {
  Tensor result = x.value().clone();
  dispatch(result.dtype(), [&]<class T>(T) {
    T* at = result.data<T>();
    for (Index i = block * inner; i < result.size(); i += blocks * inner)
      std::fill_n(at + i, inner, static_cast<T>(value));
  });
  return result;
}

}  // namespace

Tensor with_element(const Var& x, std::initializer_list<Index> index, double value) {
  const Shape& shape = x.shape();
  bool inside = index.size() == static_cast<std::size_t>(shape.rank());
  Index flat = 0;
  for (int axis = 0; inside && axis < shape.rank(); ++axis) {
    const Index at = index.begin()[axis];
    inside = at >= 0 && at < shape[axis];
    flat = flat * shape[axis] + at;
  }
  expects(inside, "with_element: no element [{}] in a value of shape {}", fmt::join(index, ", "), shape);
  Tensor result = x.value().clone();
  dispatch(result.dtype(), [&]<class T>(T) { result.data<T>()[flat] = static_cast<T>(value); });
  return result;
}

Tensor without_head(const Var& x, Index head) {
  const Shape& s = x.shape();
  expects(s.rank() >= 3 && head >= 0 && head < s[-3],
          "without_head: no head {} in a value of shape {}, [.., heads, time, dim]", head, s);
  return with_block(x, s[-3], head, s[-2] * s[-1], 0);
}

Tensor without_packed_head(const Var& x, Index heads, Index head) {
  const Shape& s = x.shape();
  expects(s.rank() >= 1 && heads > 0 && s[-1] % heads == 0 && head >= 0 && head < heads,
          "without_packed_head: no head {} of {} in a value of shape {}, [.., heads * dim]", head, heads, s);
  return with_block(x, heads, head, s[-1] / heads, 0);
}

Tensor without_token(const Var& x, Index batch, Index position) {
  const Shape& s = x.shape();
  const Index examples = s.rank() == 3 ? s[0] : 1;
  expects(
      (s.rank() == 2 || s.rank() == 3) && batch >= 0 && batch < examples && position >= 0 && position < s[-2],
      "without_token: no token {} of example {} in a value of shape {}, [batch, time, width]", position,
      batch, s);
  return with_block(x, examples * s[-2], batch * s[-2] + position, s[-1], 0);
}

Tensor without_key(const Var& scores, Index key) {
  const Shape& s = scores.shape();
  expects(s.rank() >= 2 && key >= 0 && key < s[-1],
          "without_key: no key {} in scores of shape {}, [.., query, key]", key, s);
  return with_block(scores, s[-1], key, 1, -1e30);
}

}  // namespace tapegrad
