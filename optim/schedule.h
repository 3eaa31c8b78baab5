/// Learning-rate schedules as pure functions of the step.
#pragma once
#include <functional>
#include <vector>

#include "../autograd/tensor/shape.h"

namespace tapegrad::optim {

/// The learning rate of step 1, 2, 3, …: `optimizer.set_learning_rate(schedule(step))`. A pure function, so a
/// resumed run needs no state.
using Schedule = std::function<double(Index step)>;

Schedule constant_rate(double rate);
/// rate · min(1, s / warmup).
Schedule linear_warmup(double rate, Index warmup);
/// Warm-up as in `linear_warmup`, then falling linearly to `final_rate` at `total`.
Schedule linear_decay(double rate, Index warmup, Index total, double final_rate = 0);
/// factor · d_model^-½ · min(s^-½, s · warmup^-3/2) (Vaswani et al., 2017, equation 3).
Schedule noam(Index d_model, Index warmup, double factor = 1);
/// Warm-up to `rate`, then rate · √(warmup / s): Noam's shape with the peak as an argument.
Schedule inverse_square_root(double rate, Index warmup);
/// Warm-up, then final + (rate − final)(1 + cos(π (s − warmup) / (total − warmup))) / 2; without warm-up s −
/// 1 replaces s (Loshchilov and Hutter, 2017).
Schedule cosine_decay(double rate, Index warmup, Index total, double final_rate = 0);
/// rate · gamma^⌊(s − 1) / size⌋.
Schedule step_decay(double rate, Index size, double gamma = 0.1);
/// rate · gamma^n, n the number of `milestones` below s; they must be positive and not decrease.
Schedule multistep_decay(double rate, std::vector<Index> milestones, double gamma = 0.1);
/// rate · gamma^(s − 1).
Schedule exponential_decay(double rate, double gamma);
/// rate · (1 − (s − 1) / total)^power, 0 from step total + 1 on.
Schedule polynomial_decay(double rate, Index total, double power = 1);
/// final + (rate − final)(1 + cos(π c / T)) / 2 with c = 0, 1, …, T − 1 counted anew in each cycle; T begins
/// with `period` and is multiplied by `factor` after every cycle (SGDR, Loshchilov and Hutter, 2017).
Schedule cosine_restarts(double rate, Index period, Index factor = 1, double final_rate = 0);
/// From rate / 25 at step 1 along half a cosine to `rate` at step `share` · total, then to rate / 250000 at
/// `total` (Smith and Topin, 2018; PyTorch's OneCycleLR without its momentum). `share` is in (0, 1).
Schedule one_cycle(double rate, Index total, double share = 0.3);

}  // namespace tapegrad::optim
