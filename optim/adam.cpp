#include <tapegrad/optim/adam.h>

#include <algorithm>
#include <cmath>

#include <tapegrad/autograd/kernels/adam.h>

namespace tapegrad {
namespace {

std::vector<Optimizer::StateField> fields_of(const AdamOptions& options) {
  std::vector<Optimizer::StateField> fields = {{"exp_avg"}, {"exp_avg_sq"}};
  if (options.amsgrad) fields.push_back({"max_exp_avg_sq"});
  return fields;
}

/// The kernel's formulas with the largest v so far, `top`, in v's place.
template <class T>
void amsgrad(T* param, const T* grad, T* m, T* v, T* top, Index n, const kernels::AdamArgs& args) {
  const auto coupled = static_cast<T>(args.decoupled ? 0 : args.weight_decay);
  const auto shrink = static_cast<T>(args.decoupled ? 1 - args.learning_rate * args.weight_decay : 1);
  const auto take1 = static_cast<T>(1 - args.beta1), take2 = static_cast<T>(1 - args.beta2);
  const auto scale = static_cast<T>(args.grad_scale), beta2 = static_cast<T>(args.beta2);
  const auto root = static_cast<T>(std::sqrt(args.bias_correction2)), eps = static_cast<T>(args.eps);
  const auto rate = static_cast<T>(args.learning_rate / args.bias_correction1);
  for (Index i = 0; i < n; ++i) {
    const T p = param[i] * shrink, g = grad[i] * scale + coupled * p;
    m[i] += take1 * (g - m[i]);
    v[i] = beta2 * v[i] + take2 * (g * g);
    top[i] = std::max(v[i], top[i]);
    param[i] = p - rate * (m[i] / (std::sqrt(top[i]) / root + eps));
  }
}

}  // namespace

Adam::Adam(const AdamOptions& options)
    : Optimizer(options.learning_rate, fields_of(options)), options_(options) {
  expects(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
          "Adam: betas {} and {} are not in [0, 1)", options.beta1, options.beta2);
  expects(options.eps >= 0 && options.weight_decay >= 0,
          "Adam: eps {} and weight_decay {} must not be negative", options.eps, options.weight_decay);
}

void Adam::update(Slot& slot, const TensorView& gradient, double learning_rate) {
  const kernels::AdamArgs args{.learning_rate = learning_rate,
                               .beta1 = options_.beta1,
                               .beta2 = options_.beta2,
                               .eps = options_.eps,
                               .weight_decay = slot.group.weight_decay.value_or(options_.weight_decay),
                               .decoupled = options_.decoupled,
                               .bias_correction1 = 1 - std::pow(options_.beta1, slot.steps),
                               .bias_correction2 = 1 - std::pow(options_.beta2, slot.steps),
                               .grad_scale = options_.maximize ? -1.0 : 1.0};
  slot.parameter.update([&](Tensor& value) {
    dispatch(value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T *p = value.data<T>(), *m = slot.tensors[0].data<T>(), *v = slot.tensors[1].data<T>();
      if (options_.amsgrad)
        amsgrad(p, gradient.data<T>(), m, v, slot.tensors[2].data<T>(), value.size(), args);
      else
        kernels::adam(p, gradient.data<T>(), m, v, value.size(), args);
    });
  });
}

}  // namespace tapegrad
