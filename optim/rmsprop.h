/// The RMSprop optimizer.
#pragma once
#include "optimizer.h"

namespace tapegrad::optim {

struct RMSpropOptions {
  double learning_rate = 0.01;
  double alpha = 0.99;  ///< decay of the average square
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered =
      false;  ///< divide by an estimate of the standard deviation: the mean square less the squared mean
  bool maximize = false;  ///< maximise the loss: the gradient's sign is flipped first
};

/// RMSprop (Tieleman and Hinton, Lecture 6.5 of Neural Networks for Machine Learning, 2012; centered: Graves,
/// 2013, arXiv 1308.0850), PyTorch's formulas:  g = ∇ + λ p,  v ← α v + (1 − α) g²;  centered: a ← α a + (1 −
/// α) g and v − a² replaces v, never below 0 (PyTorch gives NaN when rounding makes it negative);  with
/// momentum μ: b ← μ b + g / (√v + ε), p ← p − η b;  without: p ← p − η g / (√v + ε). State: square_avg,
/// momentum_buffer with momentum, grad_avg when centered. Throws on alpha outside [0, 1) and on negative
/// options.
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(const RMSpropOptions& options = {});

 private:
  void update(const Part& part) override;
  RMSpropOptions options_;
};

}  // namespace tapegrad::optim
