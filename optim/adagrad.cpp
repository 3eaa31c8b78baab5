#include "adagrad.h"

#include <cmath>

namespace tapegrad::optim {

Adagrad::Adagrad(const AdagradOptions& options)
    : Optimizer(options.learning_rate, {{"sum", options.initial_accumulator_value}}), options_(options) {
  expects(options.lr_decay >= 0 && options.weight_decay >= 0,
          "Adagrad: lr_decay {} and weight_decay {} must not be negative", options.lr_decay,
          options.weight_decay);
  expects(options.initial_accumulator_value >= 0 && options.eps >= 0,
          "Adagrad: initial_accumulator_value {} and eps {} must not be negative",
          options.initial_accumulator_value, options.eps);
}

void Adagrad::update(const Part& part) {
  dispatch(part.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto decay = static_cast<T>(part.weight_decay(options_.weight_decay));
    const auto rate = static_cast<T>(part.learning_rate() / (1 + (part.steps() - 1) * options_.lr_decay));
    const auto eps = static_cast<T>(options_.eps);
    const T sign = options_.maximize ? -1 : 1;
    T *p = part.values<T>(), *sum = part.state<T>(0);
    const T* grad = part.gradients<T>();
    for (Index i = 0; i < part.size(); ++i) {
      const T g = sign * grad[i] + decay * p[i];
      sum[i] += g * g;
      p[i] -= rate * (g / (std::sqrt(sum[i]) + eps));
    }
  });
}

}  // namespace tapegrad::optim
