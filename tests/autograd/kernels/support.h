/// Support for the kernel tests: random data, naive comparisons, and a walk over the variants of this
/// machine.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/base/random.h>
#include <tapegrad/autograd/kernels/kernel.h>

namespace tapegrad::test {

using kernels::Index;
using kernels::Isa;

/// Deterministic values in [low, high).
class Source {
 public:
  explicit Source(std::uint64_t seed) : key_{splitmix64(seed)} {}

  double next(double low = -1, double high = 1) { return low + (high - low) * uniform01(key_, count_++); }
  Index index(Index bound) { return static_cast<Index>(next(0, static_cast<double>(bound))); }
  template <class T>
  std::vector<T> values(Index n, double low = -1, double high = 1) {
    std::vector<T> v(static_cast<std::size_t>(n));
    for (T& x : v) x = static_cast<T>(next(low, high));
    return v;
  }

 private:
  RandomKey key_;
  std::uint64_t count_ = 0;
};

/// Runs kernels in the variant of `isa` while it lives.
class UseIsa {
 public:
  explicit UseIsa(Isa isa) { kernels::use_isa(isa); }
  ~UseIsa() { kernels::use_isa(before_); }
  UseIsa(const UseIsa&) = delete;
  UseIsa& operator=(const UseIsa&) = delete;

 private:
  Isa before_ = kernels::active_isa();
};

/// Calls f() in every variant that this machine runs; T names the scalar in messages.
template <class T, class F>
void each_variant(F f) {
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (!kernels::available(isa)) continue;
    const UseIsa variant(isa);
    BOOST_TEST_CONTEXT(kernels::isa_name(isa) << (sizeof(T) == 4 ? " float" : " double")) { f(); }
  }
}

/// Relative error allowed after `terms` roundings.
template <class T>
double tolerance(Index terms = 1) {
  return (sizeof(T) == 4 ? 1.2e-7 : 2.3e-16) * (8 + 0.5 * static_cast<double>(terms));
}

/// Checks |actual - expected| <= bound * max(1, |expected|) for all; reports the first failure.
template <class A, class B>
void check_close(const A& actual, const B& expected, double bound, const std::string& what) {
  BOOST_REQUIRE_EQUAL(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto a = static_cast<double>(actual[i]);
    const auto e = static_cast<double>(expected[i]);
    if (!(std::abs(a - e) <= bound * std::max(1.0, std::abs(e)))) {
      BOOST_ERROR(what << ": element " << i << " is " << a << ", expected " << e);
      return;
    }
  }
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Calls f() -> vector in avx2 and in avx512 and checks that the bits agree. Does nothing where one is
/// missing.
template <class F>
void check_same_on_fma_variants(F f, const std::string& what) {
  if (!kernels::available(Isa::avx2) || !kernels::available(Isa::avx512)) return;
  const auto in = [&](Isa isa) {
    const UseIsa variant(isa);
    return f();
  };
  BOOST_CHECK_MESSAGE(same_bits(in(Isa::avx2), in(Isa::avx512)), what << ": avx2 and avx512 differ");
}

}  // namespace tapegrad::test
