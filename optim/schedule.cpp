#include <tapegrad/optim/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tapegrad {
namespace {

double ratio(Index a, Index b) { return b == 0 ? 1 : static_cast<double>(a) / static_cast<double>(b); }

void check_rate(const char* name, const char* what, double rate) {
  expects(std::isfinite(rate) && rate >= 0, "{}: {} {} is not a finite number >= 0", name, what, rate);
}

void check(const char* name, double rate, Index warmup, Index total, double final_rate = 0) {
  check_rate(name, "rate", rate);
  check_rate(name, "final rate", final_rate);
  expects(warmup >= 0 && total >= warmup, "{}: warm-up of {} steps within {} in all", name, warmup, total);
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
    return final_rate + (rate - final_rate) * (1 + std::cos(std::numbers::pi * done)) / 2;
  };
}

Schedule step_decay(double rate, Index size, double gamma) {
  check_rate("step_decay", "rate", rate);
  check_rate("step_decay", "gamma", gamma);
  expects(size > 0, "step_decay: size {} must be positive", size);
  return [=](Index s) { return rate * std::pow(gamma, static_cast<double>((s - 1) / size)); };
}

}  // namespace tapegrad
