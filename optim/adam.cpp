#include "adam.h"

#include <algorithm>
#include <cmath>

#include "../autograd/kernels/adam.h"

namespace tapegrad::optim {
namespace {

std::vector<Optimizer::StateField> fields_of(const AdamOptions& options) {
  std::vector<Optimizer::StateField> fields = {{"exp_avg"}, {"exp_avg_sq"}};
  if (options.amsgrad) fields.push_back({"max_exp_avg_sq"});
  return fields;
}

/// The kernel's formulas with `top`, the largest v so far, in place of v.
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

/// 1 − βᵗ. Most parameters of a step have one t, so each thread caches the last result.
struct BiasCorrection {
  double beta = 0, steps = 0, value = 1;
  double operator()(double of_beta, double after_steps) {
    if (beta != of_beta || steps != after_steps)
      *this = {of_beta, after_steps, 1 - std::pow(of_beta, after_steps)};
    return value;
  }
};
thread_local BiasCorrection correction1, correction2;

}  // namespace

Adam::Adam(const AdamOptions& options)
    : Optimizer(options.learning_rate, fields_of(options)), options_(options) {
  expects(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
          "Adam: betas {} and {} are not in [0, 1)", options.beta1, options.beta2);
  expects(options.eps >= 0 && options.weight_decay >= 0,
          "Adam: eps {} and weight_decay {} must not be negative", options.eps, options.weight_decay);
}

void Adam::update(const Part& part) {
  const kernels::AdamArgs args{.learning_rate = part.learning_rate(),
                               .beta1 = options_.beta1,
                               .beta2 = options_.beta2,
                               .eps = options_.eps,
                               .weight_decay = part.weight_decay(options_.weight_decay),
                               .decoupled = options_.decoupled,
                               .bias_correction1 = correction1(options_.beta1, part.steps()),
                               .bias_correction2 = correction2(options_.beta2, part.steps()),
                               .grad_scale = options_.maximize ? -1.0 : 1.0};
  dispatch(part.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *p = part.values<T>(), *m = part.state<T>(0), *v = part.state<T>(1);
    if (options_.amsgrad)
      amsgrad(p, part.gradients<T>(), m, v, part.state<T>(2), part.size(), args);
    else
      kernels::adam(p, part.gradients<T>(), m, v, part.size(), args);
  });
}

}  // namespace tapegrad::optim
