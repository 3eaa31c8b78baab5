/// The observers of a tape: values collected by name (taps), functions that run after a layer, and functions
/// that run when the gradient of a layer's result is known. Observers change no bit of a result: kernels
/// write a tapped intermediate out with the arithmetic that they use anyway.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../parameter.h"
#include "../var.h"

namespace tapegrad {

/// A value inside a layer that was collected, such as `decoder.layers.1.multihead_attn.weights`.
struct Tap {
  std::string name;
  Var value;
  std::optional<Index> heads = {};  ///< where heads stand side by side in the last axis
};

/// The observers of one tape. In every pattern `*` stands for any characters, as in ParameterStore::freeze.
class Observers {
 public:
  using ValueHook = std::function<void(const std::string& path, const Var& result)>;
  using GradientHook =
      std::function<void(const std::string& path, const Var& result, const Tensor& gradient)>;

  /// `hook` runs after every layer whose path matches `pattern` and whose result is a Var, or names one
  /// (a struct that has several: what its `observed()` names, such as attention's context). It may record on
  /// the tape; it cannot replace the result.
  void on_value(std::string pattern, ValueHook hook);
  /// `hook` runs in a backward pass when the gradient of a layer's result is complete, before it flows on
  /// into the layer. It sees no layer that ran before it was added. While it runs, the tape refuses to
  /// record, to walk back, to rewind and to reset. With `.consume` the gradient is valid during the call
  /// alone.
  void on_gradient(std::string pattern, GradientHook hook);
  /// Collects every value `path.name` that matches `pattern` from now on.
  void collect(std::string_view pattern) { collected_names_.emplace_back(pattern); }
  /// Removes all hooks of one kind, or all patterns of `collect`; taps that were collected stay.
  void remove_value_hooks() { value_hooks_.clear(); }
  void remove_gradient_hooks() { gradient_hooks_.clear(); }
  void collect_nothing() { collected_names_.clear(); }

  /// Taps collected since the tape's last reset and not rewound, in the order they were recorded.
  const std::vector<Tap>& collected() const { return taps_; }

  bool has_value_hooks() const { return !value_hooks_.empty(); }
  bool has_gradient_hooks() const { return !gradient_hooks_.empty(); }
  bool collects() const { return !collected_names_.empty(); }
  /// Returns true when the value `path.name` is to be collected; layers test it before they compute the
  /// value.
  bool wants(std::string_view path, std::string_view name) const;
  /// Returns true when a value hook or gradient hook waits for the result of the layer `path`.
  bool wants_layer(std::string_view path) const;

  /// Collects a value, for layers and ops.
  void add(std::string_view path, std::string_view name, const Var& value, std::optional<Index> heads = {});
  void add(Tap tap) { taps_.push_back(std::move(tap)); }

  /// Mutes one kind of hook for the length of a scope.
  class Muted {
   public:
    explicit Muted(bool& muted) : muted_(muted), before_(std::exchange(muted, true)) {}
    ~Muted() { muted_ = before_; }
    Muted(const Muted&) = delete;
    Muted& operator=(const Muted&) = delete;

   private:
    bool& muted_;
    bool before_;
  };
  [[nodiscard]] Muted mute_values() { return Muted(values_muted_); }
  [[nodiscard]] Muted mute_gradients() { return Muted(gradients_muted_); }

 private:
  friend class Tape;
  friend class BackwardPass;
  friend class Checkpoints;

  /// A result whose gradient an observer waits for.
  struct Watched {
    std::uint32_t node, output;
    const std::string* path;
  };

  bool wants_gradient(std::string_view path) const;
  void run_value_hooks(const std::string& path, const Var& result) const;
  void run_gradient_hooks(const std::string& path, const Var& result, const Tensor& gradient);
  void truncate(std::size_t taps, std::size_t watched);

  std::vector<std::pair<std::string, ValueHook>> value_hooks_;
  std::vector<std::pair<std::string, GradientHook>> gradient_hooks_;
  std::vector<std::string> collected_names_;
  std::vector<Tap> taps_;
  std::vector<Watched> watched_;          // in the order in which the layers ran
  const std::string* running_ = nullptr;  // the layer whose gradient hooks run now
  bool values_muted_ = false, gradients_muted_ = false;
};

}  // namespace tapegrad
