#pragma once
#include <tapegrad/autograd/gradients.h>

namespace tapegrad {

/// Scales all parameter gradients in place by max_norm / (norm + 1e-6) when their common 2-norm exceeds
/// `max_norm` (Pascanu et al., 2013; PyTorch's clip_grad_norm_). Returns the norm before. Throws when
/// `max_norm` is not positive or the gradients are stale.
double clip_grad_norm(const Gradients& gradients, double max_norm);

/// The common 2-norm of all parameter gradients.
double grad_norm(const Gradients& gradients);

}  // namespace tapegrad
