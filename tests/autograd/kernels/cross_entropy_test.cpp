#include "support.h"

#include <tapegrad/autograd/kernels/cross_entropy.h>

namespace tapegrad::test {
namespace {

constexpr Index kRows = 7;
constexpr std::int64_t kIgnore = -100;

template <class T>
struct Data {
  Index vocab;
  std::vector<T> logits, dloss, start;
  std::vector<std::int64_t> targets;

  Data(Source& source, Index size)
      : vocab(size),
        logits(source.values<T>(kRows * size, -8, 8)),
        dloss(source.values<T>(kRows)),
        start(source.values<T>(kRows * size)) {
    for (Index row = 0; row < kRows; ++row) targets.push_back(row == 2 ? kIgnore : source.index(size));
  }
};

/// Losses, their sum, and gradients.
template <class T>
std::vector<T> run(const Data<T>& d, double eps, bool per_row, Index first = 0, Index rows = kRows) {
  std::vector<T> out(static_cast<std::size_t>(rows), T{9}), log_sum(static_cast<std::size_t>(rows));
  const T* logits = d.logits.data() + first * d.vocab;
  const std::int64_t* targets = d.targets.data() + first;
  const double sum = kernels::cross_entropy_forward(logits, targets, rows, d.vocab, kIgnore, eps, out.data(),
                                                    log_sum.data());
  out.push_back(static_cast<T>(sum));
  std::vector<T> dx(d.start.begin() + first * d.vocab, d.start.begin() + (first + rows) * d.vocab);
  kernels::cross_entropy_backward(logits, targets, log_sum.data(), d.dloss.data() + (per_row ? first : 0),
                                  per_row, dx.data(), rows, d.vocab, kIgnore, eps, true);
  out.insert(out.end(), dx.begin(), dx.end());
  return out;
}

template <class T>
std::vector<double> expected(const Data<T>& d, double eps, bool per_row) {
  std::vector<double> out, dx;
  const auto vocab = static_cast<std::size_t>(d.vocab);
  double total = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    const T* x = d.logits.data() + row * vocab;
    double sum = 0, loss = 0;
    for (std::size_t j = 0; j < vocab; ++j) sum += std::exp(static_cast<double>(x[j]));
    const bool ignored = d.targets[row] == kIgnore;
    for (std::size_t j = 0; j < vocab; ++j) {
      const double weight =
          (static_cast<std::int64_t>(j) == d.targets[row] ? 1 - eps : 0) + eps / static_cast<double>(vocab);
      const double log_p = static_cast<double>(x[j]) - std::log(sum);
      if (!ignored) loss -= weight * log_p;
      const auto g = static_cast<double>(d.dloss[per_row ? row : 0]);
      dx.push_back(static_cast<double>(d.start[row * vocab + j]) +
                   (ignored ? 0 : g * (std::exp(log_p) - weight)));
    }
    total += loss;
    out.push_back(loss);
  }
  out.push_back(total);
  out.insert(out.end(), dx.begin(), dx.end());
  return out;
}

template <class T>
void compare() {
  Source source(11);
  for (const Index vocab : {1, 2, 15, 16, 33, 100})
    for (const double eps : {0.0, 0.1})
      for (const bool per_row : {false, true}) {
        const Data<T> data(source, vocab);
        each_variant<T>([&] {
          check_close(run(data, eps, per_row), expected(data, eps, per_row), 4 * tolerance<T>(vocab),
                      "vocab " + std::to_string(vocab));
        });
        check_same_on_fma_variants([&] { return run(data, eps, per_row); }, "loss");
      }
}

BOOST_AUTO_TEST_SUITE(cross_entropy_kernel)

BOOST_AUTO_TEST_CASE(agrees_with_loops) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(ignored_rows_lose_nothing_and_get_nothing) {
  Source source(12);
  const Data<float> data(source, 40);
  each_variant<float>([&] {
    const auto out = run(data, 0.1, true, 2, 1);
    BOOST_TEST(out[0] == 0.0f);
    BOOST_TEST(out[1] == 0.0f);
    BOOST_TEST(std::memcmp(out.data() + 2, data.start.data() + 80, 40 * sizeof(float)) == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_row_alone_has_the_bits_it_has_in_a_batch) {
  Source source(13);
  const Data<float> data(source, 45);
  each_variant<float>([&] {
    const auto all = run(data, 0.1, true);
    for (Index row = 0; row < kRows; ++row) {
      const auto one = run(data, 0.1, true, row, 1);
      BOOST_TEST(one[0] == all[static_cast<std::size_t>(row)]);
      BOOST_TEST(std::memcmp(one.data() + 2, all.data() + kRows + 1 + row * 45, 45 * sizeof(float)) == 0);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_shift_of_all_logits_changes_no_bit) {
  Source source(77);
  Data<float> data(source, 45), shifted(source, 45);
  for (float& x : data.logits) x = std::round(x * 64) / 64;  // exact at 8192 too
  shifted = data;
  for (float& x : shifted.logits) x += 8192;
  each_variant<float>([&] { BOOST_TEST((run(data, 0.1, true) == run(shifted, 0.1, true))); });
}

BOOST_AUTO_TEST_CASE(confident_rows_keep_the_digits_of_the_loss) {
  each_variant<float>([&] {
    const std::vector<float> x = {12, 0, 0, 0};
    const std::int64_t target = 0;
    float log_sum = 0, g = 1;
    std::vector<float> dx(4);
    const double loss =
        kernels::cross_entropy_forward<float>(x.data(), &target, 1, 4, kIgnore, 0, nullptr, &log_sum);
    kernels::cross_entropy_backward(x.data(), &target, &log_sum, &g, false, dx.data(), 1, 4, kIgnore, 0,
                                    true);
    const double exact = 3 * std::exp(-12.0);
    BOOST_TEST(std::abs(loss - exact) < 0.01 * exact);
    BOOST_TEST(std::abs(dx[0] + exact) < 7e-8);  // an ulp below the probability, 1
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
