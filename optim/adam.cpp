#include <tapegrad/optim/adam.h>

#include <cmath>

#include <tapegrad/autograd/kernels/adam.h>

namespace tapegrad {

Adam::Adam(const AdamOptions& options)
    : Optimizer(options.learning_rate, {"exp_avg", "exp_avg_sq"}), options_(options) {
  expects(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
          "Adam: betas {} and {} are not in [0, 1)", options.beta1, options.beta2);
  expects(options.eps >= 0 && options.weight_decay >= 0,
          "Adam: eps {} and weight_decay {} must not be negative", options.eps, options.weight_decay);
}

void Adam::update(Slot& slot, const TensorView& gradient, double learning_rate) {
  slot.parameter.update([&](Tensor& value) {
    dispatch(value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      kernels::adam(value.data<T>(), gradient.data<T>(), slot.tensors[0].data<T>(), slot.tensors[1].data<T>(),
                    value.size(),
                    {.learning_rate = learning_rate,
                     .beta1 = options_.beta1,
                     .beta2 = options_.beta2,
                     .eps = options_.eps,
                     .weight_decay = slot.group.weight_decay.value_or(options_.weight_decay),
                     .decoupled = options_.decoupled,
                     .bias_correction1 = 1 - std::pow(options_.beta1, slot.steps),
                     .bias_correction2 = 1 - std::pow(options_.beta2, slot.steps)});
    });
  });
}

}  // namespace tapegrad
