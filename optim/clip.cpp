#include <tapegrad/optim/clip.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <tapegrad/autograd/kernels/elementwise.h>

namespace tapegrad {
namespace {

double sum_of_squares(std::span<const Gradients::Entry> entries) {
  double squares = 0;
  for (const Gradients::Entry& entry : entries)
    dispatch(entry.gradient.dtype, [&](auto zero) {
      squares += static_cast<double>(
          kernels::sum_squares(entry.gradient.data<decltype(zero)>(), entry.gradient.size()));
    });
  return squares;
}

template <class F>
void for_each_value(std::span<const Gradients::Entry> entries, F&& body) {
  for (const Gradients::Entry& entry : entries)
    dispatch(entry.gradient.dtype, [&](auto zero) {
      auto* g = entry.gradient.data<decltype(zero)>();
      for (Index i = 0; i < entry.gradient.size(); ++i) body(g[i]);
    });
}

}  // namespace

double grad_norm(const Gradients& gradients, double norm_type) {
  const auto entries = gradients.parameters("grad_norm");
  if (norm_type == 2) return std::sqrt(sum_of_squares(entries));
  expects(norm_type == 1 || (std::isinf(norm_type) && norm_type > 0),
          "grad_norm: norm_type {} is none of 1, 2 and infinity", norm_type);
  double norm = 0;
  if (norm_type == 1)
    for_each_value(entries, [&](auto g) { norm += std::abs(static_cast<double>(g)); });
  else
    for_each_value(entries, [&](auto g) {
      const double size = std::abs(static_cast<double>(g));
      if (size > norm || std::isnan(size)) norm = size;  // nothing is larger than NaN, so NaN stays
    });
  return norm;
}

double clip_grad_norm(const Gradients& gradients, double max_norm, double norm_type) {
  expects(max_norm > 0, "clip_grad_norm: max_norm must be positive, got {}", max_norm);
  const double norm = grad_norm(gradients, norm_type);
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

void clip_grad_value(const Gradients& gradients, double most) {
  expects(most > 0, "clip_grad_value: the largest value must be positive, got {}", most);
  for_each_value(gradients.parameters("clip_grad_value"), [&](auto& g) {
    using T = std::remove_reference_t<decltype(g)>;
    g = std::clamp(g, static_cast<T>(-most), static_cast<T>(most));
  });
}

}  // namespace tapegrad
