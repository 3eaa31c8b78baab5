#pragma once
#include <tapegrad/nn/io/safetensors.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <tests/parity/case.h>

namespace tapegrad::test {

/// One of PyTorch's golden files, `golden/NAME.safetensors`.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(load_safetensors(
            fmt::format("{}/tests/parity/golden/{}.safetensors", TAPEGRAD_SOURCE_DIR, name))) {}

  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  const Tensor& at(const std::string& name) const { return file_.tensors.at(name); }
  const std::string& metadata(const std::string& key) const { return file_.metadata.at(key); }
  Index count(const std::string& key) const { return std::stoll(metadata(key)); }
  bool flag(const std::string& key) const { return metadata(key) == "True"; }

  /// The rests of the names that begin with `prefix`.
  std::vector<std::string> under(const std::string& prefix) const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file_.tensors)
      if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
    return names;
  }

 private:
  TensorFile file_;
};

/// Compares tensors with golden ones by |a − b| / max(1, |b|) and prints the largest deviation at its end. An
/// absolute floor: some values are differences of larger ones that cancel.
class Comparison {
 public:
  Comparison(std::string what, double limit) : what_(std::move(what)), limit_(limit) {}
  ~Comparison() {
    BOOST_TEST_MESSAGE(fmt::format("{}: {} tensors, largest deviation {:.2g} ({}), allowed {:.2g}", what_,
                                   tensors_, largest_, where_, limit_));
  }
  Comparison(const Comparison&) = delete;
  Comparison& operator=(const Comparison&) = delete;

  void check(const std::string& name, const Tensor& actual, const Tensor& expected) {
    BOOST_TEST((actual.shape() == expected.shape()),
               fmt::format("{}: {} is {} instead of {}", what_, name, actual.shape(), expected.shape()));
    if (actual.shape() == expected.shape()) check(name, actual.to_vector(), expected.to_vector());
  }
  void check(const std::string& name, const std::vector<double>& actual,
             const std::vector<double>& expected) {
    ++tensors_;
    BOOST_REQUIRE(actual.size() == expected.size());
    double deviation = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double d = std::abs(actual[i] - expected[i]) / std::max(1.0, std::abs(expected[i]));
      deviation = std::max(deviation, std::isnan(d) ? std::numeric_limits<double>::infinity() : d);
    }
    BOOST_TEST(deviation <= limit_, fmt::format("{}: {} deviates by {:.3g}", what_, name, deviation));
    if (deviation > largest_ || where_.empty()) where_ = name;
    largest_ = std::max(largest_, deviation);
  }

 private:
  std::string what_, where_;
  double limit_, largest_ = 0;
  int tensors_ = 0;
};

/// PyTorch's padding mask ([batch, key], 1 = blocked) for all heads and queries.
inline Tensor padding_of_keys(const Tensor& blocked) {
  return blocked.reshaped({blocked.shape()[0], 1, 1, blocked.shape()[1]});
}

}  // namespace tapegrad::test
