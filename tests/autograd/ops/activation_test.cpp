#include <tapegrad/autograd/ops/activation.h>
#include <tests/support/expect.h>

#include <cmath>
#include <limits>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan_value = std::numeric_limits<double>::quiet_NaN();
using Function = Var (*)(const Var&);

Var gelu_by_erf(const Var& x) { return gelu(x); }
Var gelu_by_tanh(const Var& x) { return gelu(x, Gelu::tanh); }

/// f(x) = y and f'(x) = slope, in both dtypes, by kernel, by definition and as a graph.
void check_at(const char* name, Function f, double x, double y, double slope) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool fused : {true, false}) {
      Tape tape({.dtype = dtype, .fused = fused});
      const Var at = tape.variable(Tensor::full({}, x, dtype)), value = f(at);
      const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
      const auto near = [&](double actual, double expected) {
        return std::abs(actual - expected) <= tolerance * std::max(1.0, std::abs(expected));
      };
      BOOST_TEST(near(value.item(), y), name << "(" << x << ") = " << value.item() << ", not " << y);
      for (const bool again : {false, true}) {
        const double found = tape.backward(value, {.create_graph = again})[at].item();
        BOOST_TEST(near(found, slope), name << "'(" << x << ") = " << found << ", not " << slope);
      }
    }
}

double at(Function f, double x, DType dtype = DType::f64, bool fused = true) {
  Tape tape({.dtype = dtype, .fused = fused});
  return f(tape.constant(Tensor::full({}, x, dtype))).item();
}
}  // namespace

BOOST_AUTO_TEST_SUITE(activation_ops)

BOOST_AUTO_TEST_CASE(values_and_slopes_by_hand) {
  const double t = std::tanh(0.5), s = 1 / (1 + std::exp(-0.5));
  check_at("tanh", tanh, 0.5, t, 1 - t * t);
  check_at("tanh", tanh, 0, 0, 1);
  check_at("sigmoid", sigmoid, 0.5, s, s * (1 - s));
  check_at("sigmoid", sigmoid, 0, 0.5, 0.25);
  check_at("relu", relu, 2, 2, 1);
  check_at("relu", relu, -2, 0, 0);
  check_at("relu", relu, 0, 0, 0);
  check_at("silu", silu, 0.5, 0.5 * s, s + 0.5 * s * (1 - s));
  check_at("silu", silu, 0, 0, 0.5);
  check_at("softplus", softplus, 0, std::log(2.0), 0.5);
  check_at("softplus", softplus, 0.5, std::log1p(std::exp(0.5)), s);
}

BOOST_AUTO_TEST_CASE(both_forms_of_gelu) {
  const double cdf = 0.8413447460685429, pdf = 0.24197072451914337;  // of the normal distribution at 1
  check_at("gelu", gelu_by_erf, 1, cdf, cdf + pdf);
  check_at("gelu", gelu_by_erf, -1, cdf - 1, 1 - cdf - pdf);
  check_at("gelu", gelu_by_erf, 0, 0, 0.5);
  const double c = std::sqrt(2 / std::acos(-1.0)), t = std::tanh(c * 1.044715);
  const double slope = (1 + t) / 2 + (1 - t * t) / 2 * c * (1 + 3 * 0.044715);
  check_at("gelu_tanh", gelu_by_tanh, 1, (1 + t) / 2, slope);
  check_at("gelu_tanh", gelu_by_tanh, -1, -(1 - t) / 2, 1 - slope);
  check_at("gelu_tanh", gelu_by_tanh, 0, 0, 0.5);
  // Far below 0, where 1 + erf and 1 + tanh would have cancelled to 0.
  BOOST_TEST(std::abs(at(gelu_by_erf, -10) / (-10 * 7.61985302416e-24) - 1) < 1e-10);
  BOOST_TEST(at(gelu_by_tanh, -5) < 0);
}

BOOST_AUTO_TEST_CASE(nothing_overflows_and_nan_stays) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    BOOST_TEST(at(softplus, 1000, dtype) == 1000);
    BOOST_TEST(at(softplus, -1000, dtype) == 0);
    BOOST_TEST(at(softplus, inf, dtype) == inf);
    for (const bool fused : {true, false}) {
      for (const Function f : {gelu_by_erf, gelu_by_tanh, Function(silu)}) {
        BOOST_TEST(at(f, 1000, dtype, fused) == 1000);
        BOOST_TEST(at(f, -1000, dtype, fused) == 0);
      }
    }
    BOOST_TEST(at(sigmoid, 1000, dtype) == 1);
    BOOST_TEST(at(sigmoid, -1000, dtype) == 0);
    BOOST_TEST(at(tanh, 1000, dtype) == 1);
    BOOST_TEST(at(tanh, -1000, dtype) == -1);
    for (const Function f : {Function(tanh), Function(sigmoid), Function(relu), gelu_by_erf, gelu_by_tanh,
                             Function(silu), Function(softplus)})
      BOOST_TEST(std::isnan(at(f, nan_value, dtype)));
  }
}

BOOST_AUTO_TEST_CASE(long_arrays_match_single_elements_bit_for_bit) {
  constexpr Index n = 700;  // several of silu's blocks, and a tail
  std::vector<double> values;
  for (Index i = 0; i < n; ++i) values.push_back(-6 + 0.0173 * static_cast<double>(i));
  for (const Function f : {Function(tanh), Function(sigmoid), Function(relu), gelu_by_erf, gelu_by_tanh,
                           Function(silu), Function(softplus)}) {
    Tape tape;
    const Var x = tape.variable(Tensor::from(values, {n})), y = f(x);
    const std::vector<double> whole = y.value().to_vector();
    const std::vector<double> slopes = tape.backward(y, {.cotangent = Tensor::full({n}, 1)})[x].to_vector();
    for (std::size_t i = 0; i < values.size(); i += 13) {
      const Var one = tape.variable(Tensor::full({}, values[i])), value = f(one);
      BOOST_TEST(value.item() == whole[i]);
      BOOST_TEST(tape.backward(value)[one].item() == slopes[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_accumulate) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor::of({-1, 2}, DType::f64));
  const Var both = relu(relu(x));
  check_values(tape.backward(both, {.cotangent = Tensor::of({5, 7}, DType::f64)})[x], {2}, {0, 7});
  BOOST_TEST((silu(tape.constant(Tensor({2, 0}, DType::f64))).shape() == Shape{2, 0}));
}

BOOST_AUTO_TEST_CASE(errors_name_the_op) {
  BOOST_CHECK_EXCEPTION(gelu(Var(), Gelu::tanh), Error,
                        says("gelu_tanh: an empty Var; it was never recorded on a tape"));
  BOOST_CHECK_EXCEPTION(relu(Var()), Error, says("relu: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_SUITE_END()
