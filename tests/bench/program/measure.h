#pragma once
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "arguments.h"
#include "batches.h"

namespace tapegrad::bench {

using Json = nlohmann::ordered_json;

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Keeps the process, and the threads it starts from now on, on the first `threads` processors it may use.
inline void pin(int threads) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&allowed);
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&chosen) < threads; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &chosen);
  sched_setaffinity(0, sizeof chosen, &chosen);
}

inline double rounded(double value, int digits) {
  const double unit = std::pow(10.0, digits);
  return std::round(value * unit) / unit;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

/// Of this program alone: getrusage's figure begins with that of the process which started it.
inline double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return rounded(std::stod(line.substr(6)) / 1024, 1);
  return 0;
}

/// Times the steps of every program: one step by itself (with `--init` five, whose losses are kept), untimed
/// ones, timed ones, over batches that were made before. `step` runs one and returns its loss.
template <class Prepared, class Step>
class TimedRun {
 public:
  TimedRun(const Arguments& arguments, std::vector<Prepared> batches, Step step)
      : arguments_(arguments), batches_(std::move(batches)), step_(std::move(step)) {
    seconds_.reserve(static_cast<std::size_t>(steps()));
  }

  void warm_up() {
    const double start = now();
    losses_.push_back(step(0));
    first_step_ = now() - start;
    if (!arguments_.init.empty())
      for (int i = 1; i < 5; ++i) losses_.push_back(step(i));
    for (int i = 0; i < arguments_.warmup.value_or(arguments_.size().warmup); ++i) step(i);
  }

  /// Allocates nothing itself.
  void time() {
    for (int i = 0; i < steps(); ++i) {
      const double start = now();
      last_ = step(i);
      seconds_.push_back(now() - start);
    }
  }

  int steps() const { return arguments_.steps.value_or(arguments_.size().steps); }
  double median_seconds() const { return median(seconds_); }

  void report(Json& out) const {
    out["first_step_s"] = rounded(first_step_, 3);
    out["step_ms"] = rounded(1e3 * median_seconds(), 4);
    out["step_ms_min"] = rounded(1e3 * *std::min_element(seconds_.begin(), seconds_.end()), 4);
    out["tokens_per_s"] = rounded(static_cast<double>(arguments_.size().tokens()) / median_seconds(), 1);
    out["first_loss"] = rounded(losses_[0], 4);
    out["last_loss"] = rounded(last_, 4);
    out["steps"] = steps();
    if (!arguments_.init.empty()) {
      Json losses = Json::array();
      for (const double loss : losses_) losses.push_back(rounded(loss, 8));
      out["losses"] = losses;
    }
  }

 private:
  double step(int i) { return step_(batches_[static_cast<std::size_t>(i) % batches_.size()]); }

  Arguments arguments_;
  std::vector<Prepared> batches_;
  Step step_;
  std::vector<double> seconds_, losses_;
  double first_step_ = 0, last_ = 0;
};

/// Steps on fresh batches until the mean loss of the last ten is below `--train-until`.
template <class Step>
void train_until(Json& out, const Arguments& arguments, Batches& batches, Step step) {
  constexpr int most = 20000;
  std::deque<double> recent;
  const double start = now();
  double mean = 0;
  int taken = 0;
  while (taken < most && (recent.size() < 10 || mean >= *arguments.train_until)) {
    recent.push_back(step(batches.next()));
    if (++taken == 1) out["first_loss"] = rounded(recent[0], 4);
    if (recent.size() > 10) recent.pop_front();
    mean = std::accumulate(recent.begin(), recent.end(), 0.0) / static_cast<double>(recent.size());
  }
  out["seed"] = arguments.seed;
  out["steps_to_loss"] = taken;
  out["loss"] = rounded(mean, 4);
  out["wall_s"] = rounded(now() - start, 2);
}

}  // namespace tapegrad::bench
