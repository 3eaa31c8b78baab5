#include "support.h"

#include <limits>
#include <type_traits>

#include <tapegrad/autograd/kernels/elementwise.h>

namespace tapegrad::test {
namespace {

template <class T>
struct Map {
  const char* name;
  void (*kernel)(const T* x, T* y, Index n);
  void (*backward)(const T* x, const T* dy, T* dx, Index n, bool accumulate);  // or null
  double (*value)(double);
  double ulps;  // in float; relative to |value| where that is not tiny
  double low, high;
};

double gelu(double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }
double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}
double relu(double x) { return x > 0 ? x : 0; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

template <class T>
const std::vector<Map<T>>& maps() {
  static const std::vector<Map<T>> all = {
      {"exp", kernels::exp<T>, nullptr, [](double x) { return std::exp(x); }, 2, -87, 88},
      {"log", kernels::log<T>, nullptr, [](double x) { return std::log(x); }, 2, 1e-3, 1e3},
      {"tanh", kernels::tanh<T>, nullptr, [](double x) { return std::tanh(x); }, 2, -10, 10},
      {"sigmoid", kernels::sigmoid<T>, nullptr, sigmoid, 3, -80, 80},
      {"relu", kernels::relu<T>, kernels::relu_backward<T>, relu, 1, -3, 3},
      {"gelu", kernels::gelu<T>, kernels::gelu_backward<T>, gelu, 6, -12, 6},
      {"gelu_tanh", kernels::gelu_tanh<T>, kernels::gelu_tanh_backward<T>, gelu_tanh, 6, -2, 6}};
  return all;
}

template <class T>
std::vector<T> run(const Map<T>& map, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  map.kernel(x.data(), y.data(), static_cast<Index>(x.size()));
  return y;
}

/// Largest error relative to the value, in units of the precision of T.
template <class T>
double worst(const std::vector<T>& y, const std::vector<T>& x, double (*value)(double)) {
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = value(static_cast<double>(x[i]));
    const double unit = std::max(std::abs(exact), static_cast<double>(std::numeric_limits<T>::min())) *
                        static_cast<double>(std::numeric_limits<T>::epsilon());
    most = std::max(most, std::abs(static_cast<double>(y[i]) - exact) / unit);
  }
  return most;
}

template <class T>
void compare() {
  Source source(16);
  for (const Map<T>& map : maps<T>()) {
    auto x = source.values<T>(20001, map.low, map.high);
    const auto near_zero = source.values<T>(5000, map.low > 0 ? 0.9 : -1, 1.1);
    x.insert(x.end(), near_zero.begin(), near_zero.end());
    each_variant<T>([&] {
      const auto y = run(map, x);
      // The reference is in double itself, and so off by an ulp or, far out, by more. Without fused
      // operations exp(x) and the squares in gelu lose a little.
      const double allowed = sizeof(T) == 8                          ? 1000
                             : kernels::active_isa() == Isa::generic ? 12 * map.ulps
                                                                     : map.ulps;
      const double found = worst(y, x, map.value);
      BOOST_CHECK_MESSAGE(found <= allowed, map.name << ": " << found << " ulp, allowed " << allowed);
      BOOST_TEST_MESSAGE(map.name << ": " << found << " ulp");
      for (const std::size_t shift : {1u, 5u, 16u}) {
        const auto moved = run(map, std::vector<T>(x.begin() + static_cast<std::ptrdiff_t>(shift), x.end()));
        BOOST_TEST(same_bits(moved, std::vector<T>(y.begin() + static_cast<std::ptrdiff_t>(shift), y.end())));
      }
    });
    check_same_on_fma_variants([&] { return run(map, x); }, map.name);
  }
}

template <class T>
void compare_backwards() {
  Source source(17);
  for (const Map<T>& map : maps<T>()) {
    if (!map.backward) continue;
    const auto x = source.values<T>(501, -4, 4), dy = source.values<T>(501), start = source.values<T>(501);
    std::vector<double> expected;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<double>(x[i]);
      const double slope = (map.value(at + 1e-5) - map.value(at - 1e-5)) / 2e-5;
      expected.push_back(static_cast<double>(start[i]) + static_cast<double>(dy[i]) * slope);
    }
    const auto backward = [&] {
      auto dx = start;
      map.backward(x.data(), dy.data(), dx.data(), 501, true);
      return dx;
    };
    each_variant<T>([&] { check_close(backward(), expected, sizeof(T) == 4 ? 1e-6 : 1e-9, map.name); });
    check_same_on_fma_variants(backward, map.name);
  }
}

BOOST_AUTO_TEST_SUITE(elementwise_kernels)

BOOST_AUTO_TEST_CASE(maps_are_accurate_and_the_same_everywhere) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(backwards_agree_with_differences) {
  compare_backwards<float>();
  compare_backwards<double>();
}

template <class T>
void special() {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> x = {-inf, inf, nan, 0, T(-1e4), T(1e4)};
  const auto same = [](const std::vector<T>& y, const std::vector<T>& expected) {
    for (std::size_t i = 0; i < y.size(); ++i)
      if (!(y[i] == expected[i] || (std::isnan(y[i]) && std::isnan(expected[i])))) return false;
    return true;
  };
  each_variant<T>([&] {
    const auto& all = maps<T>();
    BOOST_TEST(same(run(all[0], x), {0, inf, nan, 1, 0, inf}));
    BOOST_TEST(same(run(all[2], x), {-1, 1, nan, 0, -1, 1}));
    BOOST_TEST(same(run(all[3], x), {0, 1, nan, T(0.5), 0, 1}));
    BOOST_TEST(same(run(all[4], x), {0, inf, nan, 0, 0, T(1e4)}));
    BOOST_TEST(run(all[5], x)[5] == T(1e4));
    BOOST_TEST(std::isnan(run(all[5], x)[2]));
    BOOST_TEST(run(all[5], x)[4] == T{0});
  });
}

BOOST_AUTO_TEST_CASE(infinities_and_nans) {
  special<float>();
  special<double>();
}

BOOST_AUTO_TEST_CASE(exp_reaches_the_subnormal_numbers) {
  each_variant<float>([&] {
    const std::vector<float> x = {-88.0f, -95.5f, -100.0f, -103.5f, -105.0f, 88.7f, 88.8f};
    std::vector<float> y(x.size());
    kernels::exp(x.data(), y.data(), 7);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto exact = static_cast<float>(std::exp(static_cast<double>(x[i])));
      BOOST_TEST((y[i] == exact || std::abs(y[i] - exact) <= 2e-45 + 2.4e-7 * static_cast<double>(exact)));
    }
  });
}

template <class T>
void sums() {
  Source source(18);
  each_variant<T>([&] {
    for (const Index n : {0, 1, 5, 15, 16, 17, 31, 40, 200}) {
      auto x = source.values<T>(n);
      T lanes[16] = {};
      double squares = 0;
      for (Index j = 0; j < n; ++j) {
        const T v = x[static_cast<std::size_t>(j)];
        lanes[j % 16] += v;
        squares += static_cast<double>(v) * static_cast<double>(v);
      }
      for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
      BOOST_TEST(kernels::sum(x.data(), n) == lanes[0]);
      BOOST_TEST(std::abs(static_cast<double>(kernels::sum_squares(x.data(), n)) - squares) <=
                 tolerance<T>(n) * (1 + squares));
      const T sum = kernels::sum(x.data(), n);
      x.resize(x.size() + 21);
      BOOST_TEST(kernels::sum(x.data(), n + 21) == sum);
    }
  });
}

BOOST_AUTO_TEST_CASE(sums_follow_the_rule_of_16_lanes) {
  sums<float>();
  sums<double>();
}

template <class T>
void matrices() {
  Source source(19);
  each_variant<T>([&] {
    for (const Index rows : {0, 1, 3, 16, 37})
      for (const Index cols : {0, 1, 15, 16, 70}) {
        const Index ld = cols + 3;
        const auto x = source.values<T>(rows * ld), start = source.values<T>(cols);
        auto sums = start, fresh = start;
        std::vector<T> expected = start, expected_fresh(start.size()),
                       turned(static_cast<std::size_t>(cols * (rows + 2)), T{9});
        auto expected_turned = turned;
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < cols; ++j) {
            const T v = x[static_cast<std::size_t>(i * ld + j)];
            expected[static_cast<std::size_t>(j)] += v;
            expected_fresh[static_cast<std::size_t>(j)] += v;
            expected_turned[static_cast<std::size_t>(j * (rows + 2) + i)] = v;
          }
        kernels::sum_rows(x.data(), rows, cols, ld, sums.data(), true);
        kernels::sum_rows(x.data(), rows, cols, ld, fresh.data(), false);
        kernels::transpose(x.data(), rows, cols, ld, turned.data(), rows + 2);
        BOOST_TEST(same_bits(sums, expected));
        BOOST_TEST(same_bits(fresh, expected_fresh));
        BOOST_TEST(same_bits(turned, expected_turned));
      }
    auto x = source.values<T>(37), y = x;
    const auto z = source.values<T>(37);
    kernels::add_into(y.data(), z.data(), 37);
    for (std::size_t i = 0; i < x.size(); ++i) BOOST_TEST(y[i] == x[i] + z[i]);
    kernels::scale(x.data(), T{3}, y.data(), 37);
    for (std::size_t i = 0; i < x.size(); ++i) BOOST_TEST(y[i] == x[i] * 3);
  });
}

BOOST_AUTO_TEST_CASE(column_sums_and_transposition) {
  matrices<float>();
  matrices<double>();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
