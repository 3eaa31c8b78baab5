/// The tapped values of a recording with their gradients, as copies for plots and reports.
#pragma once
#include <string>
#include <vector>

#include "../tape.h"

namespace tapegrad {

/// A tapped value and the loss's gradient with respect to it, as copies that outlive the tape.
struct TapValue {
  std::string name;
  Tensor value;
  Tensor gradient;  ///< empty where the loss does not depend on the value
};

/// Every tapped value of `tape`, in the order it was recorded. Values of an attention layer are split by
/// head: `scores` and `weights` are [batch, heads, query, key], `query`, `key`, `value` and `context` [batch,
/// heads, time, dim]. Throws when `gradients` are stale, or have leaves alone, after `.consume`.
std::vector<TapValue> tap_values(Tape& tape, const Gradients& gradients);

}  // namespace tapegrad
