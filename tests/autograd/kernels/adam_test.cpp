#include "support.h"

#include <tapegrad/autograd/kernels/adam.h>

namespace tapegrad::test {
namespace {

template <class T>
std::vector<T> run(std::vector<T> state, const std::vector<T>& grad, const kernels::AdamArgs& args) {
  const std::size_t n = grad.size();
  kernels::adam(state.data(), grad.data(), state.data() + n, state.data() + 2 * n, static_cast<Index>(n),
                args);
  return state;
}

template <class T>
std::vector<double> expected(const std::vector<T>& state, const std::vector<T>& grad,
                             const kernels::AdamArgs& args) {
  const std::size_t n = grad.size();
  std::vector<double> out(state.begin(), state.end());
  for (std::size_t i = 0; i < n; ++i) {
    double &p = out[i], &m = out[n + i], &v = out[2 * n + i];
    double g = static_cast<double>(grad[i]) * args.grad_scale;
    if (args.decoupled)
      p *= 1 - args.learning_rate * args.weight_decay;
    else
      g += args.weight_decay * p;
    m = args.beta1 * m + (1 - args.beta1) * g;
    v = args.beta2 * v + (1 - args.beta2) * g * g;
    p -= args.learning_rate / args.bias_correction1 * m /
         (std::sqrt(v) / std::sqrt(args.bias_correction2) + args.eps);
  }
  return out;
}

template <class T>
void compare() {
  Source source(14);
  for (const Index n : {0, 1, 15, 16, 17, 100})
    for (const bool decoupled : {false, true}) {
      auto state = source.values<T>(3 * n);
      for (std::size_t i = static_cast<std::size_t>(2 * n); i < state.size(); ++i)
        state[i] = std::abs(state[i]);
      const auto grad = source.values<T>(n);
      const kernels::AdamArgs args{.learning_rate = 0.02,
                                   .beta1 = 0.8,
                                   .beta2 = 0.95,
                                   .eps = 1e-6,
                                   .weight_decay = 0.3,
                                   .decoupled = decoupled,
                                   .bias_correction1 = 0.36,
                                   .bias_correction2 = 0.0975,
                                   .grad_scale = 0.25};
      each_variant<T>(
          [&] { check_close(run(state, grad, args), expected(state, grad, args), tolerance<T>(4), "adam"); });
      check_same_on_fma_variants([&] { return run(state, grad, args); }, "adam");
    }
}

// The division by the root of the second correction is done by products: it has a division's bits.
template <class T>
void divides_exactly() {
  Source source(41);
  constexpr Index n = 3000;
  for (const double correction : {0.001, 0.0975, 0.3, 0.632, 0.97, 0.999999, 1.0}) {
    std::vector<T> grad(n);
    for (T& g : grad)
      g = static_cast<T>(std::ldexp(source.next(0.5, 1), static_cast<int>(source.index(90)) - 60));
    const T root = static_cast<T>(std::sqrt(correction)), eps = static_cast<T>(1e-8);
    std::vector<T> expected;
    for (std::size_t i = 0; i < grad.size(); ++i) {
      const T v = grad[i] * grad[i];
      expected.push_back(grad[i] / (std::sqrt(v) / root + eps) * T{-1});
    }
    each_variant<T>([&] {
      std::vector<T> p(n), m(n), v(n);
      kernels::adam(p.data(), grad.data(), m.data(), v.data(), n,
                    {.learning_rate = 1, .beta1 = 0, .beta2 = 0, .bias_correction2 = correction});
      BOOST_TEST(same_bits(p, expected), "correction " << correction);
    });
  }
}

BOOST_AUTO_TEST_SUITE(adam_kernel)

BOOST_AUTO_TEST_CASE(divides_by_the_root_of_the_correction) {
  divides_exactly<float>();
  divides_exactly<double>();
}

BOOST_AUTO_TEST_CASE(agrees_with_loops) {
  compare<float>();
  compare<double>();
}

BOOST_AUTO_TEST_CASE(first_step_moves_by_the_learning_rate) {
  each_variant<float>([&] {
    const kernels::AdamArgs args{
        .learning_rate = 0.1, .bias_correction1 = 1 - 0.9, .bias_correction2 = 1 - 0.999};
    const auto out = run<float>({1, 1, 0, 0, 0, 0}, {5, -1e-3f}, args);
    BOOST_TEST(std::abs(out[0] - 0.9f) < 1e-6);
    BOOST_TEST(std::abs(out[1] - 1.1f) < 2e-6);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
