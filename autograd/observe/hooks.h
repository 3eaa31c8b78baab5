#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../parameter.h"
#include "../var.h"

namespace tapegrad {

/// Functions that run after every layer whose path matches and whose result is a Var, or names one by its
/// `observed()`, as attention's names its context: to look at results, to measure, to stop on what should not
/// be. A hook may record on the tape; it cannot replace the result.
class LayerHooks {
 public:
  using Hook = std::function<void(const std::string& path, const Var& result)>;

  /// `pattern` as in ParameterStore::freeze: `*` stands for any characters.
  void add(std::string pattern, Hook hook) { hooks_.emplace_back(std::move(pattern), std::move(hook)); }
  void clear() { hooks_.clear(); }
  bool empty() const { return hooks_.empty(); }
  /// While it lives no hook runs; `wants` answers as always.
  class Silence {
   public:
    explicit Silence(LayerHooks& hooks) : hooks_(hooks), before_(hooks.silent_) { hooks.silent_ = true; }
    ~Silence() { hooks_.silent_ = before_; }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

   private:
    LayerHooks& hooks_;
    bool before_;
  };
  /// Whether a hook would run after the layer `path`. What records several layers as one op asks first.
  bool wants(const std::string& path) const {
    for (const auto& [pattern, hook] : hooks_)
      if (path_matches(pattern, path)) return true;
    return false;
  }
  void run(const std::string& path, const Var& result) const {
    if (silent_) return;
    for (std::size_t i = 0; i < hooks_.size(); ++i) {
      const auto [pattern, hook] = hooks_[i];  // a copy: the hook may add others
      if (path_matches(pattern, path)) hook(path, result);
    }
  }

 private:
  std::vector<std::pair<std::string, Hook>> hooks_;
  bool silent_ = false;
};

/// Functions that run in a backward pass, when the gradient of a layer's result is complete and before it
/// flows on into the layer: to measure, to log, to stop. Layers that ran before a hook was added are not
/// seen. While a hook runs its tape refuses to record, to walk back, to be rewound and to be reset: that
/// throws. With `.consume` the gradient is valid during the call alone.
class GradientHooks {
 public:
  using Hook = std::function<void(const std::string& path, const Var& result, const Tensor& gradient)>;

  /// `pattern` as in ParameterStore::freeze: `*` stands for any characters.
  void add(std::string pattern, Hook hook) { hooks_.emplace_back(std::move(pattern), std::move(hook)); }
  void clear() { hooks_.clear(); }
  bool empty() const { return hooks_.empty(); }
  bool wants(const std::string& path) const {
    for (const auto& [pattern, hook] : hooks_)
      if (path_matches(pattern, path)) return true;
    return false;
  }
  void run(const std::string& path, const Var& result, const Tensor& gradient) const {
    for (std::size_t i = 0; i < hooks_.size(); ++i) {
      const auto [pattern, hook] = hooks_[i];
      if (path_matches(pattern, path)) hook(path, result, gradient);
    }
  }

 private:
  std::vector<std::pair<std::string, Hook>> hooks_;
};

}  // namespace tapegrad
