/// One fused pass of Adam or AdamW over a flat array.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace tapegrad::kernels {

struct AdamArgs {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;       ///< AdamW: decay the parameter; otherwise the decay is added to the gradient
  double bias_correction1 = 1;  ///< 1 - beta1^step
  double bias_correction2 = 1;  ///< 1 - beta2^step
  double grad_scale = 1;        ///< the gradient is multiplied by this first (1 / count, or a clip factor)
};

/// Adam (Kingma and Ba, 2015, arXiv 1412.6980; Loshchilov and Hutter, 2019, arXiv 1711.05101), PyTorch's
/// formulas:
///
///     g = grad * grad_scale (+ weight_decay * param)
///     param *= 1 - learning_rate * weight_decay when decoupled
///     m += (1 - beta1) * (g - m)
///     v = beta2 * v + (1 - beta2) * g * g
///     param -= learning_rate / bias_correction1 * m / (sqrt(v) / sqrt(bias_correction2) + eps)
TAPEGRAD_KERNEL(void, adam, (T * param, const T* grad, T* m, T* v, Index n, const AdamArgs& args),
                (param, grad, m, v, n, args))

}  // namespace tapegrad::kernels
