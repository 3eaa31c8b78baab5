/// Stochastic gradient descent, with momentum.
#pragma once
#include "optimizer.h"

namespace tapegrad::optim {

struct SGDOptions {
  double learning_rate = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  bool maximize = false;  ///< climb: the gradient's sign is turned first
};

/// Stochastic gradient descent, PyTorch's formulas:  g = ∇ + λ p;  with momentum μ and dampening τ:  b = μ b
/// + (1 − τ) g (b = g at the first step), g = g + μ b (Nesterov) or b;  p ← p − η g. State: momentum_buffer
/// with momentum. Throws on negative options, and on nesterov without momentum or with dampening.
class SGD : public Optimizer {
 public:
  explicit SGD(const SGDOptions& options = {});

 private:
  void update(const Part& part) override;
  SGDOptions options_;
};

}  // namespace tapegrad::optim
