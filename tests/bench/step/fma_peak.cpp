#include "tests/bench/step/fma_peak.h"

#include <algorithm>
#include <barrier>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/bench/program/measure.h"
#include "tests/bench/step/multiply_add.h"

namespace tapegrad::bench {

double fma_peak_gflops(int threads) {
  std::vector<double> best(static_cast<std::size_t>(threads));
  std::barrier together(threads);
  const auto measure = [&](double& fastest) {
    together.arrive_and_wait();
    for (const double end = now() + 0.06; now() < end;) {
      const double start = now(), operations = kernels::multiply_add_loop<float>(2000);
      fastest = std::max(fastest, 1e-9 * operations / (now() - start));
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < best.size(); ++i) others.emplace_back([&, i] { measure(best[i]); });
    measure(best[0]);
  }
  return std::accumulate(best.begin(), best.end(), 0.0);
}

}  // namespace tapegrad::bench
