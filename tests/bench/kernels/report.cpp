#include "tests/bench/kernels/report.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace tapegrad::bench {
namespace {

/// Those of `names` that are new are appended.
void append_new(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

}  // namespace

double Report::thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void Report::add(const Measurement& m) {
  measurements_.push_back(m);
  if (!json_) return;
  const nlohmann::ordered_json line = {
      {"kernel", m.kernel}, {"unit", m.unit}, {"case", m.name}, {"library", m.library}, {"value", m.value}};
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

void Report::finish() const {
  if (json_) return;
  std::vector<std::string> kernels;
  for (const Measurement& m : measurements_) append_new(kernels, m.kernel);
  for (const std::string& kernel : kernels) {
    std::vector<std::string> cases, libraries;
    std::string unit;
    for (const Measurement& m : measurements_) {
      if (m.kernel != kernel) continue;
      append_new(cases, m.name);
      append_new(libraries, m.library);
      unit = m.unit;
    }
    fmt::print("\n{:36}", fmt::format("{}, {}", kernel, unit));
    for (const std::string& library : libraries) fmt::print("{:>12}", library);
    for (const std::string& name : cases) {
      fmt::print("\n{:36}", name);
      for (const std::string& library : libraries) {
        const auto at = std::find_if(measurements_.begin(), measurements_.end(), [&](const Measurement& m) {
          return m.kernel == kernel && m.name == name && m.library == library;
        });
        fmt::print("{:>12}", at == measurements_.end() ? "-" : fmt::format("{:.4g}", at->value));
      }
    }
    fmt::print("\n");
  }
}

std::vector<float> values(std::int64_t n) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(uniform01({1}, i)) - 0.5f;
  return v;
}

}  // namespace tapegrad::bench
