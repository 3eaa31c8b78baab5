#include "support.h"

#include <tapegrad/autograd/kernels/norm.h>

namespace tapegrad::test {
namespace {

constexpr Index kWidths[] = {1, 2, 7, 16, 17, 33, 64, 100};
constexpr Index kRows = 6;
constexpr double kEps = 1e-5;

template <class T>
struct Data {
  Index n;
  std::vector<T> x, gamma, beta, dy, start, dgamma, dbeta;

  Data(Source& source, Index width)
      : n(width),
        x(source.values<T>(kRows * width, -2, 3)),
        gamma(source.values<T>(width)),
        beta(source.values<T>(width)),
        dy(source.values<T>(kRows * width)),
        start(source.values<T>(kRows * width)),
        dgamma(source.values<T>(width)),
        dbeta(source.values<T>(width)) {}
};

/// y, dx, dgamma, dbeta behind one another; `plain` leaves gamma and beta out.
template <class T>
std::vector<T> run(const Data<T>& d, bool centred, bool plain, Index rows = kRows) {
  std::vector<T> y(static_cast<std::size_t>(rows * d.n)), mean(static_cast<std::size_t>(rows)), rstd = mean;
  std::vector<T> dx(d.start.begin(), d.start.begin() + rows * d.n), dgamma = d.dgamma, dbeta = d.dbeta;
  const T* gamma = plain ? nullptr : d.gamma.data();
  const T* beta = plain ? nullptr : d.beta.data();
  const T eps = static_cast<T>(kEps);
  if (centred) {
    kernels::layer_norm(d.x.data(), gamma, beta, eps, y.data(), mean.data(), rstd.data(), rows, d.n);
    kernels::layer_norm_backward(d.x.data(), gamma, mean.data(), rstd.data(), d.dy.data(), dx.data(),
                                 dgamma.data(), dbeta.data(), rows, d.n, true);
  } else {
    kernels::rms_norm(d.x.data(), gamma, eps, y.data(), rstd.data(), rows, d.n);
    kernels::rms_norm_backward(d.x.data(), gamma, rstd.data(), d.dy.data(), dx.data(), dgamma.data(), rows,
                               d.n, true);
  }
  for (const auto* v : {&dx, &dgamma, &dbeta}) y.insert(y.end(), v->begin(), v->end());
  return y;
}

template <class T>
std::vector<double> expected(const Data<T>& d, bool centred, bool plain) {
  std::vector<double> y, dx, dgamma(d.dgamma.begin(), d.dgamma.end()), dbeta(d.dbeta.begin(), d.dbeta.end());
  const auto n = static_cast<std::size_t>(d.n);
  for (std::size_t row = 0; row < kRows; ++row) {
    const T* x = d.x.data() + row * n;
    const T* dy = d.dy.data() + row * n;
    const auto count = static_cast<double>(n);
    double mean = 0, square = 0, mean_g = 0, mean_gx = 0;
    for (std::size_t j = 0; j < n; ++j) mean += x[j] / count;
    if (!centred) mean = 0;
    for (std::size_t j = 0; j < n; ++j) square += (x[j] - mean) * (x[j] - mean) / count;
    const double rstd = 1 / std::sqrt(square + static_cast<double>(static_cast<T>(kEps)));
    const auto gamma = [&](std::size_t j) { return plain ? 1.0 : static_cast<double>(d.gamma[j]); };
    for (std::size_t j = 0; j < n; ++j) {
      const double xhat = (x[j] - mean) * rstd;
      y.push_back(xhat * gamma(j) + (plain || !centred ? 0.0 : static_cast<double>(d.beta[j])));
      mean_g += dy[j] * gamma(j) / count;
      mean_gx += dy[j] * gamma(j) * xhat / count;
      dgamma[j] += dy[j] * xhat;
      if (centred) dbeta[j] += dy[j];
    }
    if (!centred) mean_g = 0;
    for (std::size_t j = 0; j < n; ++j)
      dx.push_back(static_cast<double>(d.start[row * n + j]) +
                   rstd * (dy[j] * gamma(j) - mean_g - (x[j] - mean) * rstd * mean_gx));
  }
  for (const auto* v : {&dx, &dgamma, &dbeta}) y.insert(y.end(), v->begin(), v->end());
  return y;
}

template <class T>
void compare() {
  Source source(8);
  for (const Index n : kWidths) {
    const Data<T> data(source, n);
    for (const bool centred : {false, true})
      for (const bool plain : {false, true}) {
        // A row of two nearly equal values loses digits in its variance; one value has none, and x - mean is
        // exact.
        const double bound = (n < 8 ? 200 : 10) * tolerance<T>(n);
        each_variant<T>([&] {
          check_close(run(data, centred, plain), expected(data, centred, plain), bound,
                      (centred ? "layer norm, width " : "rms norm, width ") + std::to_string(n));
        });
        check_same_on_fma_variants([&] { return run(data, centred, plain); }, "norm");
      }
  }
}

BOOST_AUTO_TEST_SUITE(norm_kernels)

BOOST_AUTO_TEST_CASE(agree_with_loops) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(a_row_alone_has_the_bits_it_has_in_a_batch) {
  Source source(9);
  const Data<float> data(source, 45);
  each_variant<float>([&] {
    for (const bool centred : {false, true}) {
      const auto all = run(data, centred, false);
      const auto one = run(data, centred, false, 1);
      BOOST_TEST(std::memcmp(all.data(), one.data(), 45 * sizeof(float)) == 0);
      BOOST_TEST(std::memcmp(all.data() + kRows * 45, one.data() + 45, 45 * sizeof(float)) == 0);
    }
  });
}

// Two calls over halves of the rows add up as one call does: the sums over rows go in order.
BOOST_AUTO_TEST_CASE(parameter_gradients_take_rows_in_order) {
  Source source(10);
  const Data<float> d(source, 21);
  each_variant<float>([&] {
    std::vector<float> mean(kRows, 0.25f), rstd(kRows, 1.5f), whole(21), halves(21), whole_b(21),
        halves_b(21);
    const auto part = [&](Index first, Index rows, float* dgamma, float* dbeta) {
      kernels::layer_norm_backward<float>(d.x.data() + first * 21, nullptr, mean.data(), rstd.data(),
                                          d.dy.data() + first * 21, nullptr, dgamma, dbeta, rows, 21, true);
    };
    part(0, kRows, whole.data(), whole_b.data());
    part(0, 2, halves.data(), halves_b.data());
    part(2, kRows - 2, halves.data(), halves_b.data());
    BOOST_TEST(same_bits(whole, halves));
    BOOST_TEST(same_bits(whole_b, halves_b));
    const auto dx_only = [&] {
      std::vector<float> dx(d.x.size());
      kernels::layer_norm_backward<float>(d.x.data(), nullptr, mean.data(), rstd.data(), d.dy.data(),
                                          dx.data(), nullptr, nullptr, kRows, 21, true);
      return dx;
    }();
    BOOST_TEST(dx_only[0] != 0.0f);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
