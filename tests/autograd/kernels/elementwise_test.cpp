#include "support.h"

#include <limits>
#include <type_traits>

namespace tapegrad::test {
namespace {

template <class T>
struct Map {
  const char* name;
  decltype(Table<T>::exp) Table<T>::*kernel;
  decltype(Table<T>::relu_backward) Table<T>::*backward;  // or null
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
  using Tab = Table<T>;
  static const std::vector<Map<T>> all = {
      {"exp", &Tab::exp, nullptr, [](double x) { return std::exp(x); }, 2, -87, 88},
      {"log", &Tab::log, nullptr, [](double x) { return std::log(x); }, 2, 1e-3, 1e3},
      {"tanh", &Tab::tanh, nullptr, [](double x) { return std::tanh(x); }, 2, -10, 10},
      {"sigmoid", &Tab::sigmoid, nullptr, sigmoid, 3, -80, 80},
      {"erf", &Tab::erf, nullptr, [](double x) { return std::erf(x); }, 2, -4, 4},
      {"relu", &Tab::relu, &Tab::relu_backward, relu, 1, -3, 3},
      {"gelu", &Tab::gelu, &Tab::gelu_backward, gelu, 6, -12, 6},
      {"gelu_tanh", &Tab::gelu_tanh, &Tab::gelu_tanh_backward, gelu_tanh, 6, -2, 6}};
  return all;
}

template <class T>
std::vector<T> apply(const Table<T>& table, const Map<T>& map, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  (table.*map.kernel)(x.data(), y.data(), static_cast<Index>(x.size()));
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
    each_variant<T>([&](const Table<T>& table) {
      const auto y = apply(table, map, x);
      // The reference is in double itself, and so off by an ulp or, far out, by more. Without fused
      // operations exp(x) and the squares in gelu lose a little.
      const double allowed = sizeof(T) == 8                                ? 1000
                             : &table == kernels::variant<T>(Isa::generic) ? 12 * map.ulps
                                                                           : map.ulps;
      const double found = worst(y, x, map.value);
      BOOST_CHECK_MESSAGE(found <= allowed, map.name << ": " << found << " ulp, allowed " << allowed);
      BOOST_TEST_MESSAGE(map.name << ": " << found << " ulp");
      for (const std::size_t shift : {1u, 5u, 16u}) {
        const auto moved =
            apply(table, map, std::vector<T>(x.begin() + static_cast<std::ptrdiff_t>(shift), x.end()));
        BOOST_TEST(same_bits(moved, std::vector<T>(y.begin() + static_cast<std::ptrdiff_t>(shift), y.end())));
      }
    });
    check_same_on_fma_variants<T>([&](const Table<T>& table) { return apply(table, map, x); }, map.name);
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
    const auto backward = [&](const Table<T>& table) {
      auto dx = start;
      (table.*map.backward)(x.data(), dy.data(), dx.data(), 501, true);
      return dx;
    };
    each_variant<T>([&](const Table<T>& table) {
      check_close(backward(table), expected, sizeof(T) == 4 ? 1e-6 : 1e-9, map.name);
    });
    check_same_on_fma_variants<T>(backward, map.name);
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
  each_variant<T>([&](const Table<T>& table) {
    const auto& all = maps<T>();
    BOOST_TEST(same(apply(table, all[0], x), {0, inf, nan, 1, 0, inf}));
    BOOST_TEST(same(apply(table, all[2], x), {-1, 1, nan, 0, -1, 1}));
    BOOST_TEST(same(apply(table, all[3], x), {0, 1, nan, T(0.5), 0, 1}));
    BOOST_TEST(same(apply(table, all[5], x), {0, inf, nan, 0, 0, T(1e4)}));
    BOOST_TEST(apply(table, all[6], x)[5] == T(1e4));
    BOOST_TEST(std::isnan(apply(table, all[6], x)[2]));
    BOOST_TEST(apply(table, all[6], x)[4] == T{0});
  });
}

BOOST_AUTO_TEST_CASE(infinities_and_nans) {
  special<float>();
  special<double>();
}

BOOST_AUTO_TEST_CASE(exp_reaches_the_subnormal_numbers) {
  each_variant<float>([&](const Table<float>& table) {
    const std::vector<float> x = {-88.0f, -95.5f, -100.0f, -103.5f, -105.0f, 88.7f, 88.8f};
    std::vector<float> y(x.size());
    table.exp(x.data(), y.data(), 7);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto exact = static_cast<float>(std::exp(static_cast<double>(x[i])));
      BOOST_TEST((y[i] == exact || std::abs(y[i] - exact) <= 2e-45 + 2.4e-7 * static_cast<double>(exact)));
    }
  });
}

template <class T>
void sums() {
  Source source(18);
  each_variant<T>([&](const Table<T>& table) {
    for (const Index n : {0, 1, 5, 15, 16, 17, 31, 40, 200}) {
      auto x = source.values<T>(n);
      T lanes[16] = {}, most = -std::numeric_limits<T>::infinity();
      double squares = 0;
      for (Index j = 0; j < n; ++j) {
        const T v = x[static_cast<std::size_t>(j)];
        lanes[j % 16] += v;
        most = std::max(most, v);
        squares += static_cast<double>(v) * static_cast<double>(v);
      }
      for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
      BOOST_TEST(table.sum(x.data(), n) == lanes[0]);
      BOOST_TEST(table.max(x.data(), n) == most);
      BOOST_TEST(std::abs(static_cast<double>(table.sum_squares(x.data(), n)) - squares) <=
                 tolerance<T>(n) * (1 + squares));
      const T sum = table.sum(x.data(), n);
      x.resize(x.size() + 21);
      BOOST_TEST(table.sum(x.data(), n + 21) == sum);
      if (n == 0) continue;
      x[static_cast<std::size_t>(n / 2)] = std::numeric_limits<T>::quiet_NaN();
      BOOST_TEST(std::isnan(table.max(x.data(), n)));
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
  each_variant<T>([&](const Table<T>& table) {
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
        table.sum_rows(x.data(), rows, cols, ld, sums.data(), true);
        table.sum_rows(x.data(), rows, cols, ld, fresh.data(), false);
        table.transpose(x.data(), rows, cols, ld, turned.data(), rows + 2);
        BOOST_TEST(same_bits(sums, expected));
        BOOST_TEST(same_bits(fresh, expected_fresh));
        BOOST_TEST(same_bits(turned, expected_turned));
      }
    auto x = source.values<T>(37), y = x;
    const auto z = source.values<T>(37);
    table.add_into(y.data(), z.data(), 37);
    for (std::size_t i = 0; i < x.size(); ++i) BOOST_TEST(y[i] == x[i] + z[i]);
    table.scale(x.data(), T{3}, y.data(), 37);
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
