#include "support.h"

#include <bit>
#include <set>

#include <tapegrad/autograd/kernels/dropout.h>

namespace tapegrad::test {
namespace {

BOOST_AUTO_TEST_SUITE(random_kernels)

// These values are part of the file format of a training run: a resumed run must draw equal numbers.
BOOST_AUTO_TEST_CASE(values_never_change) {
  const RandomKey key = random_key(1, 2, 3, 4);
  BOOST_TEST(key.value == 15374388949593934587u);
  BOOST_TEST(random_bits(key, 0) == 477218320u);
  BOOST_TEST(random_bits(key, 0x1234567890u) == 114169589u);
  BOOST_TEST(uniform01(key, 5) == 0.83718420357928425);
}

BOOST_AUTO_TEST_CASE(keys_differ_in_every_argument) {
  std::set<std::uint64_t> keys;
  for (std::uint64_t i = 0; i < 4; ++i)
    for (std::uint64_t j = 0; j < 4; ++j)
      for (std::uint64_t k = 0; k < 4; ++k)
        for (std::uint64_t l = 0; l < 4; ++l) keys.insert(random_key(i, j, k, l).value);
  BOOST_TEST(keys.size() == 256u);
}

/// Checks that `ones` of `count` fair coins is within 5 standard deviations.
void check_fair(double ones, double count, const std::string& what) {
  BOOST_CHECK_MESSAGE(std::abs(ones - count / 2) < 2.5 * std::sqrt(count),
                      what << ": " << ones << " of " << count);
}

BOOST_AUTO_TEST_CASE(bits_are_fair_and_independent) {
  constexpr std::uint64_t kCount = 1 << 16;
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{0xffff8000u}}) {
    const RandomKey key = random_key(7, 0, 0, first), next = random_key(7, 1, 0, first);
    double ones[32] = {}, serial[32] = {}, across[32] = {}, chi[256] = {};
    for (std::uint64_t i = 0; i < kCount; ++i) {
      const std::uint32_t bits = random_bits(key, first + i);
      const std::uint32_t neighbour = bits ^ random_bits(key, first + i + 1);
      const std::uint32_t other = bits ^ random_bits(next, first + i);
      ++chi[bits >> 24];
      for (int bit = 0; bit < 32; ++bit) {
        ones[bit] += bits >> bit & 1;
        serial[bit] += neighbour >> bit & 1;
        across[bit] += other >> bit & 1;
      }
    }
    for (int bit = 0; bit < 32; ++bit) {
      check_fair(ones[bit], kCount, "bit " + std::to_string(bit));
      check_fair(serial[bit], kCount, "neighbours, bit " + std::to_string(bit));
      check_fair(across[bit], kCount, "steps, bit " + std::to_string(bit));
    }
    double statistic = 0;
    for (const double c : chi) statistic += (c - kCount / 256.0) * (c - kCount / 256.0) / (kCount / 256.0);
    BOOST_TEST(statistic < 255 + 5 * std::sqrt(2 * 255.0));
    BOOST_TEST(statistic > 255 - 5 * std::sqrt(2 * 255.0));
  }
}

BOOST_AUTO_TEST_CASE(changing_one_bit_of_the_element_changes_half_of_the_bits) {
  const RandomKey key = random_key(3, 0, 0, 0);
  for (int flipped = 0; flipped < 48; ++flipped) {
    double changed = 0;
    for (std::uint64_t i = 0; i < 1024; ++i) {
      const std::uint64_t element = i * 977;
      changed +=
          std::popcount(random_bits(key, element) ^ random_bits(key, element ^ std::uint64_t{1} << flipped));
    }
    check_fair(changed, 1024 * 32, "element bit " + std::to_string(flipped));
  }
}

BOOST_AUTO_TEST_CASE(uniform_numbers_fill_the_unit_interval) {
  double sum = 0, square = 0, least = 1, greatest = 0;
  constexpr int kCount = 100000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double u = uniform01({42}, i);
    sum += u;
    square += u * u;
    least = std::min(least, u);
    greatest = std::max(greatest, u);
  }
  BOOST_TEST(std::abs(sum / kCount - 0.5) < 0.005);
  BOOST_TEST(std::abs(square / kCount - 1.0 / 3) < 0.005);
  BOOST_TEST(least >= 0.0);
  BOOST_TEST(least < 1e-4);
  BOOST_TEST(greatest < 1.0);
  BOOST_TEST(greatest > 1 - 1e-4);
}

template <class T>
void dropout_matches_the_bits() {
  Source source(15);
  const RandomKey key = random_key(1, 1, 1, 1);
  each_variant<T>([&] {
    for (const Index n : {0, 1, 15, 16, 33, 1000})
      for (const std::uint64_t first :
           {std::uint64_t{0}, std::uint64_t{0xfffffff0u}, std::uint64_t{0x123fffffff3u}})
        for (const double p : {0.0, 0.1, 0.5, 1.0}) {
          const auto x = source.values<T>(n);
          std::vector<T> y(x.size(), T{5}), dx(x.size(), T{2}), expected_y, expected_dx;
          kernels::dropout_forward(x.data(), y.data(), n, p, key, first);
          kernels::dropout_backward(x.data(), dx.data(), n, p, key, first, true);
          for (std::size_t i = 0; i < x.size(); ++i) {
            const bool kept = p < 1 && random_bits(key, first + i) >= kernels::dropout_threshold(p);
            const T value = kept ? x[i] * static_cast<T>(1 / (1 - p)) : T{0};
            expected_y.push_back(value);
            expected_dx.push_back(2 + value);
          }
          BOOST_TEST(same_bits(y, expected_y));
          BOOST_TEST(same_bits(dx, expected_dx));
        }
  });
}

BOOST_AUTO_TEST_CASE(dropout_keeps_by_the_bits_of_the_element) {
  dropout_matches_the_bits<float>();
  dropout_matches_the_bits<double>();
}

BOOST_AUTO_TEST_CASE(dropout_drops_its_share_and_even_nans) {
  const float nan = std::nanf("");
  std::vector<float> x(100000, nan), y(x.size());
  kernels::dropout_forward(x.data(), y.data(), Index{100000}, 0.3, RandomKey{9});
  double dropped = 0;
  for (const float v : y) dropped += v == 0;
  BOOST_TEST(std::abs(dropped / 100000 - 0.3) < 0.008);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
