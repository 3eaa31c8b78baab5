#pragma once
#include <string>
#include <vector>

#include <tapegrad/autograd/kernels/dropout.h>

namespace tapegrad::bench {

/// One measured number of a kernel, case and library.
struct Measurement {
  std::string kernel, unit, name, library;
  double value = 0;
};

/// Collects measurements, and says each as it comes: as a JSON line, or in a table a kernel.
class Report {
 public:
  Report(bool json, double seconds) : json_(json), seconds_(seconds) {}
  void add(const Measurement& measurement);
  /// Prints the tables, unless lines were printed.
  void finish() const;
  bool json() const { return json_; }

  /// Best seconds of one call of f, over about the time set for a measurement, by this thread's processor
  /// time, which excludes other programs.
  template <class F>
  double best_seconds(F f) const {
    double best = 1e30, total = 0;
    long repeats = 1;
    while (total < seconds_) {
      const double start = thread_seconds();
      for (long r = 0; r < repeats; ++r) f();
      const double taken = thread_seconds() - start;
      total += taken;
      if (taken / static_cast<double>(repeats) < best) best = taken / static_cast<double>(repeats);
      if (taken < 2e-4) repeats *= 2;
    }
    return best;
  }

 private:
  static double thread_seconds();

  bool json_;
  double seconds_;
  std::vector<Measurement> measurements_;
};

/// `n` values in [-0.5, 0.5).
std::vector<float> values(std::int64_t n);

// One file each.
void bench_gemm(Report& report);
struct AttentionLengths {
  std::int64_t shortest = 16, longest = 2048;
  bool only_causal = false;
};
void bench_attention(Report& report, const AttentionLengths& lengths);
void bench_rows(Report& report);

}  // namespace tapegrad::bench
