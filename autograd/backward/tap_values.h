/// Tapped values with their gradients.
#pragma once
#include <string>
#include <vector>

#include "../tape.h"

namespace tapegrad {

/// A tapped value and the loss's gradient with respect to it, copies that outlive the tape.
struct TapValue {
  std::string name;
  Tensor value;
  Tensor gradient;  ///< empty where the loss does not depend on the value
};

/// Everything that `tape` collected, in the order it was recorded. Of an attention layer, per head: `scores`
/// and `weights` are [batch, heads, query, key], `query`, `key`, `value` and `context` [batch, heads, time,
/// dim]. Throws when `gradients` are stale, or keep leaves alone, after `.consume`.
std::vector<TapValue> tap_values(Tape& tape, const Gradients& gradients);

}  // namespace tapegrad
