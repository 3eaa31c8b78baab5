/// Gradient clipping by norm and by value.
#pragma once
#include "../autograd/gradients.h"

namespace tapegrad::optim {

/// Scales all parameter gradients in place by max_norm / (norm + 1e-6) when their common norm exceeds
/// `max_norm` (Pascanu et al., 2013; PyTorch's clip_grad_norm_). `norm_type` as in `grad_norm`. Returns the
/// unclipped norm. Throws when `max_norm` is not positive or the gradients are stale.
double clip_grad_norm(const Gradients& gradients, double max_norm, double norm_type = 2);

/// Clamps every entry of every parameter gradient to [−most, most] (PyTorch's clip_grad_value_); NaN stays.
/// Throws when `most` is not positive or the gradients are stale.
void clip_grad_value(const Gradients& gradients, double most);

/// The common norm of all parameter gradients: the root of the sum of squares (2), the sum (1) or the largest
/// (infinity) of the absolute values. Throws on another `norm_type`.
double grad_norm(const Gradients& gradients, double norm_type = 2);

}  // namespace tapegrad::optim
