#pragma once
#include <initializer_list>

#include "../../tape.h"

namespace tapegrad {

/// What another value in the place of a recorded one does to the loss.
///
/// `predicted` is what the gradient says, <dloss/dx, new - old>: right to first order, for a change so small
/// that the loss is straight over it. `change - predicted` is all that the gradient cannot see: curvature
/// between the old and the new value, 1/2 (new - old)' H (new - old) + ..., and kinks. It shrinks with the
/// square of the change. Where it is as large as `change` itself, as it often is for a head or a token that
/// is dropped as a whole, the gradient at the old value does not tell what the head or the token is worth.
struct Counterfactual {
  double loss = 0;          ///< as recorded
  double changed_loss = 0;  ///< with the new value
  double change = 0;        ///< changed_loss - loss
  double predicted = 0;     ///< <dloss/dx, new - old>
};

/// Replays the recording with `value` in the place of x. `g` is a backward pass from `loss`; x any recorded
/// value that needs a gradient. A recording in f32 is replayed in f64, so that small changes are not lost in
/// rounding; elements of `value` that are the recorded ones count as unchanged. What the loss does not depend
/// on changes nothing. Throws when `value` has not x's shape and dtype, when x is a constant, and what Replay
/// throws.
Counterfactual what_if(const Var& loss, const Gradients& g, const Var& x, const Tensor& value);

// New values for `what_if` and Replay: x's recorded value with something changed, in x's dtype. An index out
// of range throws.

/// One element is another one: `with_element(scores, {batch, head, query, key}, 0)`.
Tensor with_element(const Var& x, std::initializer_list<Index> index, double value);
/// Head `head` is zero.   x [.., heads, time, dim], as query, key, value, weights or context
Tensor without_head(const Var& x, Index head);
/// The same where heads lie side by side.   x [.., heads * dim]
Tensor without_packed_head(const Var& x, Index heads, Index head);
/// The token at `position` of example `batch` is zero.   x [batch, time, width], or [time, width] with batch
/// 0
Tensor without_token(const Var& x, Index batch, Index position);
/// Key `key` is scored -1e30 for all queries, so that softmax gives it no weight, but where it is the only
/// key that the mask keeps.   scores [.., query, key]
///
/// It is too far for a first-order prediction; the weights with a zero column are nearer by.
Tensor without_key(const Var& scores, Index key);

}  // namespace tapegrad
