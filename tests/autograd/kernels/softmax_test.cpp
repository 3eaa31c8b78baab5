#include "support.h"

#include <limits>

#include <tapegrad/autograd/kernels/softmax.h>

namespace tapegrad::test {
namespace {

constexpr Index kWidths[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 257};
constexpr Index kRows = 5;

template <class T>
struct Data {
  Index n;
  std::vector<T> x, dy, start;

  Data(Source& source, Index width)
      : n(width),
        x(source.values<T>(kRows * width, -20, 20)),
        dy(source.values<T>(kRows * width)),
        start(source.values<T>(kRows * width)) {}
  std::size_t at(Index row, Index j) const { return static_cast<std::size_t>(row * n + j); }
  double log_sum(Index row) const {
    double max = -1e300, sum = 0;
    for (Index j = 0; j < n; ++j) max = std::max(max, static_cast<double>(x[at(row, j)]));
    for (Index j = 0; j < n; ++j) sum += std::exp(static_cast<double>(x[at(row, j)]) - max);
    return max + std::log(sum);
  }
  double p(Index row, Index j) const { return std::exp(static_cast<double>(x[at(row, j)]) - log_sum(row)); }
};

/// Forwards and backwards of all three functions in one vector.
template <class T>
std::vector<T> run(const Data<T>& data, Index rows = kRows) {
  const auto size = static_cast<std::size_t>(rows * data.n);
  std::vector<T> all, y(size), dx;
  const auto keep = [&](const std::vector<T>& v) { all.insert(all.end(), v.begin(), v.end()); };
  const auto backward = [&](auto kernel) {
    dx.assign(data.start.begin(), data.start.begin() + rows * data.n);
    kernel(y.data(), data.dy.data(), dx.data(), rows, data.n, true);
    keep(y);
    keep(dx);
  };
  kernels::softmax(data.x.data(), y.data(), rows, data.n);
  backward(kernels::softmax_backward<T>);
  kernels::log_softmax(data.x.data(), y.data(), rows, data.n);
  backward(kernels::log_softmax_backward<T>);
  y.resize(static_cast<std::size_t>(rows));
  kernels::logsumexp(data.x.data(), y.data(), rows, data.n);
  dx.assign(data.start.begin(), data.start.begin() + rows * data.n);
  kernels::logsumexp_backward(data.x.data(), y.data(), data.dy.data(), dx.data(), rows, data.n, true);
  keep(y);
  keep(dx);
  return all;
}

template <class T>
std::vector<double> expected(const Data<T>& data) {
  std::vector<double> y, dy, logs, dlogs, sums, dsums;
  for (Index r = 0; r < kRows; ++r) {
    double dot = 0, total = 0;
    for (Index j = 0; j < data.n; ++j) {
      dot += data.p(r, j) * static_cast<double>(data.dy[data.at(r, j)]);
      total += static_cast<double>(data.dy[data.at(r, j)]);
    }
    sums.push_back(data.log_sum(r));
    for (Index j = 0; j < data.n; ++j) {
      const std::size_t i = data.at(r, j);
      const double p = data.p(r, j), g = static_cast<double>(data.dy[i]),
                   old = static_cast<double>(data.start[i]);
      y.push_back(p);
      dy.push_back(old + p * (g - dot));
      logs.push_back(static_cast<double>(data.x[i]) - data.log_sum(r));
      dlogs.push_back(old + g - p * total);
      dsums.push_back(old + p * static_cast<double>(data.dy[static_cast<std::size_t>(r)]));
    }
  }
  for (const auto* v : {&dy, &logs, &dlogs, &sums, &dsums}) y.insert(y.end(), v->begin(), v->end());
  return y;
}

template <class T>
void compare() {
  Source source(5);
  for (const Index n : kWidths) {
    const Data<T> data(source, n);
    each_variant<T>(
        [&] { check_close(run(data), expected(data), 4 * tolerance<T>(n), "width " + std::to_string(n)); });
    check_same_on_fma_variants([&] { return run(data); }, "softmax");
  }
}

BOOST_AUTO_TEST_SUITE(softmax_kernels)

BOOST_AUTO_TEST_CASE(agree_with_loops) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(padding_with_minus_infinity_changes_no_bit) {
  Source source(6);
  each_variant<float>([&] {
    for (const Index n : kWidths) {
      const auto x = source.values<float>(n, -5, 5);
      std::vector<float> y(x.size()), padded(x), z;
      padded.resize(x.size() + 37, -std::numeric_limits<float>::infinity());
      z.resize(padded.size());
      kernels::softmax(x.data(), y.data(), 1, n);
      kernels::softmax(padded.data(), z.data(), 1, n + 37);
      for (std::size_t j = x.size(); j < z.size(); ++j) BOOST_TEST(z[j] == 0.0f);
      z.resize(x.size());
      BOOST_TEST(same_bits(y, z));
    }
  });
}

BOOST_AUTO_TEST_CASE(position_in_memory_changes_no_bit) {
  Source source(7);
  each_variant<float>([&] {
    const auto x = source.values<float>(45);
    std::vector<float> first(45);
    kernels::softmax(x.data(), first.data(), 1, 45);
    for (std::size_t shift = 1; shift < 17; ++shift) {
      std::vector<float> moved(shift);
      moved.insert(moved.end(), x.begin(), x.end());
      std::vector<float> y(moved.size());
      kernels::softmax(moved.data() + shift, y.data() + shift, 1, 45);
      BOOST_TEST(
          same_bits(first, std::vector<float>(y.begin() + static_cast<std::ptrdiff_t>(shift), y.end())));
    }
  });
}

template <class T>
void special() {
  const T inf = std::numeric_limits<T>::infinity();
  const T nan = std::numeric_limits<T>::quiet_NaN();
  each_variant<T>([&] {
    std::vector<T> x(20, -inf), y(20, T{7});
    kernels::softmax(x.data(), y.data(), 1, 20);
    BOOST_TEST(same_bits(y, std::vector<T>(20)));
    T sum = 7;
    kernels::logsumexp(x.data(), &sum, 1, 20);
    BOOST_TEST(sum == -inf);
    kernels::logsumexp(x.data(), &sum, 1, 0);
    BOOST_TEST(sum == -inf);
    std::vector<T> dx(20, T{3});
    const T g = 1;
    kernels::logsumexp_backward(x.data(), &sum, &g, dx.data(), 1, 20, true);
    BOOST_TEST(same_bits(dx, std::vector<T>(20, T{3})));
    for (const std::size_t where : {std::size_t{0}, std::size_t{3}, std::size_t{19}}) {
      x.assign(20, -inf);
      x[where] = nan;
      kernels::softmax(x.data(), y.data(), 1, 20);
      BOOST_TEST(std::isnan(y[5]));
    }
  });
}

BOOST_AUTO_TEST_CASE(infinities_and_nans) {
  special<float>();
  special<double>();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
