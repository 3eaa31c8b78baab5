/// The Adam and AdamW optimizers.
#pragma once
#include "optimizer.h"

namespace tapegrad::optim {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  ///< decay the parameter itself (AdamW) instead of adding λ p to the gradient
  bool amsgrad = false;    ///< divide by the largest v so far
  bool maximize = false;   ///< maximise the loss: the gradient's sign is flipped first
};

/// Adam (Kingma and Ba, 2015), PyTorch's formulas:  m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g², p ← p − η
/// / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε). Each parameter takes one fused pass. With `amsgrad` (Reddi, Kale
/// and Kumar, 2018) v̂ ← max(v̂, v) replaces v in the last formula, so that no rate ever grows. State:
/// exp_avg, exp_avg_sq, and max_exp_avg_sq with `amsgrad`. Throws on betas outside [0, 1) and on negative
/// options.
class Adam : public Optimizer {
 public:
  explicit Adam(const AdamOptions& options = {});

 private:
  void update(const Part& part) override;
  AdamOptions options_;
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  bool amsgrad = false;   ///< as in AdamOptions
  bool maximize = false;  ///< as in AdamOptions
};

/// Adam with decoupled weight decay, p ← (1 − η λ) p before the step (Loshchilov and Hutter, 2019).
class AdamW : public Adam {
 public:
  explicit AdamW(const AdamWOptions& o = {})
      : Adam({.learning_rate = o.learning_rate,
              .beta1 = o.beta1,
              .beta2 = o.beta2,
              .eps = o.eps,
              .weight_decay = o.weight_decay,
              .decoupled = true,
              .amsgrad = o.amsgrad,
              .maximize = o.maximize}) {}
};

}  // namespace tapegrad::optim
