#pragma once
#include <utility>

#include "../tape.h"

namespace tapegrad {

/// While it lives the tape's gradient hooks hear of no pass.
class WithoutGradientHooks {
 public:
  explicit WithoutGradientHooks(Tape& tape) : tape_(tape) { std::swap(hooks_, tape_.gradient_hooks()); }
  ~WithoutGradientHooks() { std::swap(hooks_, tape_.gradient_hooks()); }
  WithoutGradientHooks(const WithoutGradientHooks&) = delete;
  WithoutGradientHooks& operator=(const WithoutGradientHooks&) = delete;

 private:
  Tape& tape_;
  GradientHooks hooks_;
};

}  // namespace tapegrad
