/// The Adagrad optimizer.
#pragma once
#include "optimizer.h"

namespace tapegrad::optim {

struct AdagradOptions {
  double learning_rate = 0.01;
  double lr_decay = 0;  ///< δ below
  double weight_decay = 0;
  double initial_accumulator_value = 0;  ///< initial s
  double eps = 1e-10;
  bool maximize = false;  ///< maximise the loss: the gradient's sign is flipped first
};

/// Adagrad (Duchi, Hazan and Singer, 2011), PyTorch's formulas:  g = ∇ + λ p,  s ← s + g²,
/// p ← p − η / (1 + (t − 1) δ) · g / (√s + ε). State: sum. Throws on negative options.
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(const AdagradOptions& options = {});

 private:
  void update(const Part& part) override;
  AdagradOptions options_;
};

}  // namespace tapegrad::optim
