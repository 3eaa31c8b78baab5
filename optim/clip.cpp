#include <tapegrad/optim/clip.h>

#include <cmath>

#include <tapegrad/autograd/kernels/elementwise.h>

namespace tapegrad {

double grad_norm(const Gradients& gradients) {
  double squares = 0;
  for (const Gradients::Entry& entry : gradients.parameters("grad_norm"))
    dispatch(entry.gradient.dtype, [&](auto zero) {
      squares += static_cast<double>(
          kernels::sum_squares(entry.gradient.data<decltype(zero)>(), entry.gradient.size()));
    });
  return std::sqrt(squares);
}

double clip_grad_norm(const Gradients& gradients, double max_norm) {
  expects(max_norm > 0, "clip_grad_norm: max_norm must be positive, got {}", max_norm);
  const double norm = grad_norm(gradients);
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const Gradients::Entry& entry : gradients.parameters("clip_grad_norm"))
    dispatch(entry.gradient.dtype, [&](auto zero) {
      using T = decltype(zero);
      T* g = entry.gradient.data<T>();
      kernels::scale(g, static_cast<T>(factor), g, entry.gradient.size());
    });
  return norm;
}

}  // namespace tapegrad
