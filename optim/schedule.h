#pragma once
#include <functional>

#include <tapegrad/autograd/shape.h>

namespace tapegrad {

/// The learning rate of step 1, 2, 3, …: `optimizer.set_learning_rate(schedule(step))`. A pure function, so a
/// resumed run needs no state.
using Schedule = std::function<double(Index step)>;

Schedule constant_rate(double rate);
/// rate · min(1, s / warmup).
Schedule linear_warmup(double rate, Index warmup);
/// Warm-up as above, then falling linearly to `final_rate` at `total`.
Schedule linear_decay(double rate, Index warmup, Index total, double final_rate = 0);
/// factor · d_model^-½ · min(s^-½, s · warmup^-3/2) (Vaswani et al., 2017, equation 3).
Schedule noam(Index d_model, Index warmup, double factor = 1);
/// Warm-up to `rate`, then rate · √(warmup / s): Noam's shape with its peak said directly.
Schedule inverse_square_root(double rate, Index warmup);
/// Warm-up, then final + (rate − final)(1 + cos(π (s − warmup) / (total − warmup))) / 2, without warm-up
/// counted from s − 1 (Loshchilov and Hutter, 2017).
Schedule cosine_decay(double rate, Index warmup, Index total, double final_rate = 0);
/// rate · gamma^⌊(s − 1) / size⌋.
Schedule step_decay(double rate, Index size, double gamma = 0.1);

}  // namespace tapegrad
