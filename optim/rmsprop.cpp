#include "rmsprop.h"

#include <algorithm>
#include <cmath>

namespace tapegrad::optim {
namespace {

std::vector<Optimizer::StateField> fields_of(const RMSpropOptions& options) {
  std::vector<Optimizer::StateField> fields = {{"square_avg"}};
  if (options.momentum != 0) fields.push_back({"momentum_buffer"});
  if (options.centered) fields.push_back({"grad_avg"});
  return fields;
}

}  // namespace

RMSprop::RMSprop(const RMSpropOptions& options)
    : Optimizer(options.learning_rate, fields_of(options)), options_(options) {
  expects(options.alpha >= 0 && options.alpha < 1, "RMSprop: alpha {} is not in [0, 1)", options.alpha);
  expects(options.eps >= 0 && options.weight_decay >= 0 && options.momentum >= 0,
          "RMSprop: eps {}, weight_decay {} and momentum {} must not be negative", options.eps,
          options.weight_decay, options.momentum);
}

void RMSprop::update(const Part& part) {
  dispatch(part.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto decay = static_cast<T>(part.weight_decay(options_.weight_decay));
    const auto rate = static_cast<T>(part.learning_rate()), momentum = static_cast<T>(options_.momentum);
    const auto keep = static_cast<T>(options_.alpha), take = static_cast<T>(1 - options_.alpha);
    const auto eps = static_cast<T>(options_.eps);
    const T sign = options_.maximize ? -1 : 1;
    T *p = part.values<T>(), *square = part.state<T>(0);
    T* buffer = options_.momentum != 0 ? part.state<T>(1) : nullptr;
    T* mean = options_.centered ? part.state<T>(options_.momentum != 0 ? 2 : 1) : nullptr;
    const T* grad = part.gradients<T>();
    for (Index i = 0; i < part.size(); ++i) {
      const T g = sign * grad[i] + decay * p[i];
      square[i] = keep * square[i] + take * (g * g);
      T v = square[i];
      if (mean != nullptr) {
        mean[i] += take * (g - mean[i]);
        v = std::max(v - mean[i] * mean[i], T{0});
      }
      T change = g / (std::sqrt(v) + eps);
      if (buffer != nullptr) change = buffer[i] = momentum * buffer[i] + change;
      p[i] -= rate * change;
    }
  });
}

}  // namespace tapegrad::optim
