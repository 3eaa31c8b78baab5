#include "sgd.h"

namespace tapegrad::optim {

SGD::SGD(const SGDOptions& options)
    : Optimizer(
          options.learning_rate,
          options.momentum != 0 ? std::vector<StateField>{{"momentum_buffer"}} : std::vector<StateField>{},
          StepCount::optional),
      options_(options) {
  expects(options.momentum >= 0 && options.weight_decay >= 0,
          "SGD: momentum {} and weight_decay {} must not be negative", options.momentum,
          options.weight_decay);
  expects(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
          "SGD: nesterov needs momentum > 0 and dampening 0, got {} and {}", options.momentum,
          options.dampening);
}

void SGD::update(const Part& part) {
  dispatch(part.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto decay = static_cast<T>(part.weight_decay(options_.weight_decay));
    const auto rate = static_cast<T>(part.learning_rate()), momentum = static_cast<T>(options_.momentum);
    const auto fresh = static_cast<T>(part.steps() == 1 ? 1 : 1 - options_.dampening);
    const T sign = options_.maximize ? -1 : 1;
    T* p = part.values<T>();
    const T* grad = part.gradients<T>();
    T* buffer = options_.momentum == 0 ? nullptr : part.state<T>(0);
    for (Index i = 0; i < part.size(); ++i) {
      T g = sign * grad[i] + decay * p[i];
      if (buffer != nullptr) {
        buffer[i] = momentum * buffer[i] + fresh * g;
        g = options_.nesterov ? g + momentum * buffer[i] : buffer[i];
      }
      p[i] -= rate * g;
    }
  });
}

}  // namespace tapegrad::optim
