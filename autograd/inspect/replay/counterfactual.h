/// Counterfactuals: the change of the loss when one recorded value is replaced (`what_if`), and common
/// replacements such as a head or a token set to zero.
#pragma once
#include <initializer_list>

#include "../../tape.h"

namespace tapegrad {

/// The change of the loss when one recorded value is replaced, with its first-order prediction.
///
/// `predicted` is the first-order prediction <dloss/dx, new - old>, valid for changes so small that the loss
/// is linear over them. `change - predicted` is the remainder: curvature between the old and the new value,
/// 1/2 (new - old)' H (new - old) + ..., and kinks. It shrinks with the square of the change. When it is as
/// large as `change`, as it often is for a dropped head or token, the gradient at the old value does not
/// measure the importance of the head or token.
struct Counterfactual {
  double loss = 0;          ///< as recorded
  double changed_loss = 0;  ///< with the new value
  double change = 0;        ///< changed_loss - loss
  double predicted = 0;     ///< <dloss/dx, new - old>
};

/// Replays the recording with `value` in place of x. `g` is a backward pass from `loss`; x is any recorded
/// value that needs a gradient. A recording in f32 is replayed in f64, so small changes are not lost in
/// rounding; elements of `value` that equal the recorded ones are unchanged. The change is 0 when the loss
/// does not depend on x. Throws when `value` differs from x in shape or dtype, when x is a constant, and the
/// errors of Replay.
Counterfactual what_if(const Var& loss, const Gradients& g, const Var& x, const Tensor& value);

// New values for `what_if` and Replay: x's recorded value with something changed, in x's dtype. An index out
// of range throws.

/// Replaces one element: `with_element(scores, {batch, head, query, key}, 0)`.
Tensor with_element(const Var& x, std::initializer_list<Index> index, double value);
/// Sets head `head` to zero in x [.., heads, time, dim]: query, key, value, weights or context.
Tensor without_head(const Var& x, Index head);
/// Sets head `head` to zero in x [.., heads * dim], where each row holds the heads side by side.
Tensor without_packed_head(const Var& x, Index heads, Index head);
/// Sets the token at `position` of example `batch` to zero in x [batch, time, width], or in x [time, width]
/// with batch 0.
Tensor without_token(const Var& x, Index batch, Index position);
/// Sets the score of key `key` to -1e30 for all queries in scores [.., query, key]. Softmax then gives it
/// weight 0, unless it is the only key that the mask keeps.
///
/// The change is too large for a first-order prediction; weights with a zero column are a smaller change.
Tensor without_key(const Var& scores, Index key);

}  // namespace tapegrad
