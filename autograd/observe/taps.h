#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../var.h"

namespace tapegrad {

class Gradients;
class Tape;

/// Named values inside layers that a user asks to see, such as `decoder.layers.1.multihead_attn.weights`.
/// Asking changes no bit of the results: kernels write a tapped intermediate out with the same arithmetic.
class Taps {
 public:
  struct Tap {
    std::string name;
    Var value;
    Index heads = 0;  ///< > 0: they lie packed side by side in the last axis
  };

  /// Collects from now on every tap whose name matches `pattern` (`*` stands for any characters).
  void watch(std::string_view pattern) { patterns_.emplace_back(pattern); }
  void watch_nothing() { patterns_.clear(); }
  bool watches_nothing() const { return patterns_.empty(); }
  /// Whether `path.name` is asked for. Layers call it before they pay for a value.
  bool wants(std::string_view path, std::string_view name) const;
  void add(std::string_view path, std::string_view name, const Var& value, Index heads = 0);
  void add(Tap tap) { collected_.push_back(std::move(tap)); }
  /// What was collected since the tape's last reset and not rewound, in the order it was recorded.
  const std::vector<Tap>& collected() const { return collected_; }
  void clear() { collected_.clear(); }
  /// Drops all but the first `count`; the tape's rewind calls it.
  void truncate(std::size_t count) {
    while (collected_.size() > count) collected_.pop_back();
  }

 private:
  std::vector<std::string> patterns_;
  std::vector<Tap> collected_;
};

/// A tapped value and the loss's gradient with respect to it, copies that outlive the tape.
struct TapValue {
  std::string name;
  Tensor value;
  Tensor gradient;  ///< empty where the loss does not depend on the value
};

/// What was tapped, in the order it was recorded. Of an attention layer, per head: `scores` and `weights` are
/// [batch, heads, query, key], `context` [batch, heads, query, dim] (and `query`, `key` and `value`
/// likewise). Throws where `gradients` are stale, or keep leaves alone, after `.consume`.
std::vector<TapValue> tap_values(Tape& tape, const Gradients& gradients);

}  // namespace tapegrad
