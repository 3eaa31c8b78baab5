#include "schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tapegrad::optim {
namespace {

double ratio(Index a, Index b) { return b == 0 ? 1 : static_cast<double>(a) / static_cast<double>(b); }

void check_rate(const char* name, const char* what, double rate) {
  expects(std::isfinite(rate) && rate >= 0, "{}: {} {} is not a finite number >= 0", name, what, rate);
}

void check(const char* name, double rate, Index warmup, Index total, double final_rate = 0) {
  check_rate(name, "rate", rate);
  check_rate(name, "final rate", final_rate);
  expects(warmup >= 0 && total >= warmup, "{}: warm-up of {} of {} steps; it must be from 0 to all of them",
          name, warmup, total);
}

/// Returns the value that goes from `begin` to `end` along half a cosine while `done` goes from 0 to 1.
double cosine(double begin, double end, double done) {
  return end + (begin - end) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

}  // namespace

Schedule constant_rate(double rate) {
  check("constant_rate", rate, 0, 0);
  return [=](Index) { return rate; };
}

Schedule linear_warmup(double rate, Index warmup) {
  check("linear_warmup", rate, warmup, warmup);
  return [=](Index s) { return rate * std::min(1.0, ratio(s, warmup)); };
}

Schedule linear_decay(double rate, Index warmup, Index total, double final_rate) {
  check("linear_decay", rate, warmup, total, final_rate);
  return [=](Index s) {
    if (s <= warmup && warmup > 0) return rate * ratio(s, warmup);
    return final_rate + (rate - final_rate) * (1 - std::min(1.0, ratio(s - warmup, total - warmup)));
  };
}

Schedule noam(Index d_model, Index warmup, double factor) {
  check_rate("noam", "factor", factor);
  expects(d_model > 0 && warmup > 0, "noam: d_model {} and warm-up {} must be positive", d_model, warmup);
  return [=](Index s) {
    const auto step = static_cast<double>(s);
    return factor / std::sqrt(static_cast<double>(d_model)) *
           std::min(1 / std::sqrt(step), step * std::pow(static_cast<double>(warmup), -1.5));
  };
}

Schedule inverse_square_root(double rate, Index warmup) {
  check("inverse_square_root", rate, warmup, warmup);
  return [=](Index s) {
    return rate * std::min(ratio(s, warmup), std::sqrt(ratio(std::max<Index>(warmup, 1), s)));
  };
}

Schedule cosine_decay(double rate, Index warmup, Index total, double final_rate) {
  check("cosine_decay", rate, warmup, total, final_rate);
  return [=](Index s) {
    if (s <= warmup && warmup > 0) return rate * ratio(s, warmup);
    const double done = std::min(1.0, ratio(warmup > 0 ? s - warmup : s - 1, total - warmup));
    return cosine(rate, final_rate, done);
  };
}

Schedule step_decay(double rate, Index size, double gamma) {
  check_rate("step_decay", "rate", rate);
  check_rate("step_decay", "gamma", gamma);
  expects(size > 0, "step_decay: size {} must be positive", size);
  return [=](Index s) { return rate * std::pow(gamma, static_cast<double>((s - 1) / size)); };
}

Schedule multistep_decay(double rate, std::vector<Index> milestones, double gamma) {
  check_rate("multistep_decay", "rate", rate);
  check_rate("multistep_decay", "gamma", gamma);
  expects(std::is_sorted(milestones.begin(), milestones.end()) && (milestones.empty() || milestones[0] > 0),
          "multistep_decay: milestones [{}] must be positive and not decrease", fmt::join(milestones, ", "));
  return [rate, gamma, milestones = std::move(milestones)](Index s) {
    const auto passed = std::lower_bound(milestones.begin(), milestones.end(), s) - milestones.begin();
    return rate * std::pow(gamma, static_cast<double>(passed));
  };
}

Schedule exponential_decay(double rate, double gamma) {
  check_rate("exponential_decay", "rate", rate);
  check_rate("exponential_decay", "gamma", gamma);
  return [=](Index s) { return rate * std::pow(gamma, static_cast<double>(s - 1)); };
}

Schedule polynomial_decay(double rate, Index total, double power) {
  check_rate("polynomial_decay", "rate", rate);
  check_rate("polynomial_decay", "power", power);
  expects(total > 0, "polynomial_decay: total {} must be positive", total);
  return [=](Index s) { return s > total ? 0 : rate * std::pow(1 - ratio(s - 1, total), power); };
}

Schedule cosine_restarts(double rate, Index period, Index factor, double final_rate) {
  check_rate("cosine_restarts", "rate", rate);
  check_rate("cosine_restarts", "final rate", final_rate);
  expects(period > 0 && factor > 0, "cosine_restarts: period {} and factor {} must be positive", period,
          factor);
  return [=](Index s) {
    auto length = static_cast<double>(period), at = static_cast<double>(s - 1);
    if (factor == 1) at = std::fmod(at, length);
    for (; at >= length; length *= static_cast<double>(factor)) at -= length;
    return cosine(rate, final_rate, at / length);
  };
}

Schedule one_cycle(double rate, Index total, double share) {
  check_rate("one_cycle", "rate", rate);
  const double peak = share * static_cast<double>(total) - 1, last = static_cast<double>(total) - 1;
  expects(share > 0 && share < 1 && peak > 0,
          "one_cycle: share {} of {} steps; it must be in (0, 1) and cover more than one step", share, total);
  return [=](Index s) {
    const double at = std::min(static_cast<double>(s) - 1, last), first = rate / 25;
    return at <= peak ? cosine(first, rate, at / peak)
                      : cosine(rate, first / 1e4, (at - peak) / (last - peak));
  };
}

}  // namespace tapegrad::optim
