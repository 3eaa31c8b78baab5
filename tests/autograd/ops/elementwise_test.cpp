#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/elementwise.h>
#include <tests/support/expect.h>

#include <cmath>
#include <limits>
#include <numbers>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan_value = std::numeric_limits<double>::quiet_NaN();
Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }

using Function = Var (*)(const Var&);

/// f(x) = y and f'(x) = slope, in both dtypes and both through the raw backward and as a graph.
void check_at(const char* name, Function f, double x, double y, double slope) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape({.dtype = dtype});
    const Var at = tape.variable(Tensor::full({}, x, dtype)), value = f(at);
    const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
    const auto near = [&](double actual, double expected) {
      return actual == expected ||
             std::abs(actual - expected) <= tolerance * std::max(1.0, std::abs(expected));
    };
    BOOST_TEST(near(value.item(), y), name << "(" << x << ") = " << value.item() << ", not " << y);
    for (const bool again : {false, true}) {
      const double found = tape.backward(value, {.create_graph = again})[at].item();
      BOOST_TEST(near(found, slope), name << "'(" << x << ") = " << found << ", not " << slope);
    }
  }
}

Tensor of_special(Function f, const Nested& values, DType dtype) {
  Tape tape({.dtype = dtype});
  return f(tape.constant(values)).value().clone();
}
}  // namespace

BOOST_AUTO_TEST_SUITE(elementwise_ops)

BOOST_AUTO_TEST_CASE(values_and_slopes_by_hand) {
  const double e = std::numbers::e;
  check_at("exp", exp, 1, e, e);
  check_at("exp", exp, 0, 1, 1);
  check_at("log", log, e, std::log(static_cast<double>(e)), 1 / e);
  check_at("log", log, 0.5, -std::numbers::ln2, 2);
  check_at("log1p", log1p, 1, std::numbers::ln2, 0.5);
  check_at("expm1", expm1, 1, e - 1, e);
  check_at("sqrt", sqrt, 4, 2, 0.25);
  check_at("sqrt", sqrt, 0, 0, inf);
  check_at("rsqrt", rsqrt, 4, 0.5, -1.0 / 16);
  check_at("square", square, -3, 9, -6);
  check_at("reciprocal", reciprocal, -4, -0.25, -1.0 / 16);
  check_at("abs", abs, -3, 3, -1);
  check_at("abs", abs, 3, 3, 1);
  check_at("abs", abs, 0, 0, 0);
  check_at("sin", sin, 2, std::sin(2.0), std::cos(2.0));
  check_at("cos", cos, 2, std::cos(2.0), -std::sin(2.0));
  check_at("normal_cdf", normal_cdf, 0, 0.5, 0.3989422804014327);
  check_at("normal_cdf", normal_cdf, 1, 0.8413447460685429, 0.24197072451914337);
}

BOOST_AUTO_TEST_CASE(small_arguments_stay_exact) {
  Tape tape({.dtype = DType::f64});
  BOOST_TEST(log1p(tape.constant(1e-18)).item() == 1e-18);
  BOOST_TEST(expm1(tape.constant(1e-18)).item() == 1e-18);
  const double tail = normal_cdf(tape.constant(-20)).item();
  BOOST_TEST(std::abs(tail / 2.753624118606233695e-89 - 1) < 1e-12);
}

BOOST_AUTO_TEST_CASE(special_values) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    check_values(of_special(exp, {-inf, inf, -1000, 1000}, dtype), {4}, {0, inf, 0, inf});
    check_values(of_special(log, {0, inf}, dtype), {2}, {-inf, inf});
    check_values(of_special(abs, {-inf, -0.0}, dtype), {2}, {inf, 0});
    check_values(of_special(reciprocal, {0, -inf}, dtype), {2}, {inf, 0});
    check_values(of_special(normal_cdf, {-inf, inf}, dtype), {2}, {0, 1});
    const Function all[] = {exp,    log,        log1p, expm1, sqrt, rsqrt,
                            square, reciprocal, abs,   sin,   cos,  normal_cdf};
    for (const Function f : all) {
      BOOST_TEST(std::isnan(of_special(f, nan_value, dtype).item()));
      BOOST_TEST((of_special(f, Nested{}, dtype).shape() == Shape{0}));
    }
    for (const Function f : {Function(log), Function(sqrt)})
      BOOST_TEST(std::isnan(of_special(f, -1, dtype).item()));
  }
}

BOOST_AUTO_TEST_CASE(an_element_has_the_same_bits_wherever_it_stands) {
  for (const Function f :
       {Function(exp), Function(log), Function(sin), Function(normal_cdf), Function(rsqrt)}) {
    Tape tape;
    std::vector<double> values;
    for (int i = 0; i < 37; ++i) values.push_back(0.1 + 0.37 * i);
    const std::vector<double> together = f(tape.constant(Tensor::from(values, {37}))).value().to_vector();
    for (std::size_t i = 0; i < values.size(); ++i)
      BOOST_TEST(f(tape.constant(Tensor::full({}, values[i]))).item() == together[i]);
  }
}

BOOST_AUTO_TEST_CASE(powers) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({-2, 3, 0}));
  const auto check = [&](double exponent, const std::vector<double>& values,
                         const std::vector<double>& slopes) {
    const Var y = pow(x, exponent);
    check_values(y.value(), {3}, values);
    check_values(tape.backward(y, {.cotangent = f64({1, 1, 1})})[x], {3}, slopes);
  };
  check(3, {-8, 27, 0}, {12, 27, 0});
  check(2, {4, 9, 0}, {-4, 6, 0});
  check(1, {-2, 3, 0}, {1, 1, 1});
  check(0, {1, 1, 1}, {0, 0, 0});
  BOOST_TEST(std::isnan(pow(x, 0.5).value().at({0})));
  BOOST_TEST(pow(x, -1).value().at({2}) == inf);
}

BOOST_AUTO_TEST_CASE(clamping) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({-inf, -2, -1, 0, 3, 4, inf}));
  const Var y = clamp(x, -1, 3);
  check_values(y.value(), {7}, {-1, -1, -1, 0, 3, 3, 3});
  for (const bool again : {false, true}) {
    const Gradients g = tape.backward(y, {.create_graph = again, .cotangent = f64({1, 2, 3, 4, 5, 6, 7})});
    check_values(g[x], {7}, {0, 0, 3, 4, 5, 0, 0});  // both bounds belong to the inside
  }
  BOOST_TEST(std::isnan(clamp(tape.constant(nan_value), -1, 3).item()));
  check_values(clamp(x, 0, inf).value(), {7}, {0, 0, 0, 0, 3, 4, inf});
  BOOST_CHECK_EXCEPTION(clamp(x, 2, 1), Error, says("clamp: low 2 must not be above high 1"));
  BOOST_CHECK_EXCEPTION(clamp(x, nan_value, 1), Error, says("clamp: low nan must not be above high 1"));
}

BOOST_AUTO_TEST_CASE(errors_name_the_op) {
  BOOST_CHECK_EXCEPTION(exp(Var()), Error, says("exp: an empty Var; it was never recorded on a tape"));
  Tape tape;
  const Var x = tape.constant(1);
  tape.reset();
  BOOST_CHECK_EXCEPTION(rsqrt(x), Error,
                        says("rsqrt: this value is stale, its tape was reset (or rewound) after it was "
                             "recorded; record it again"));
}

BOOST_AUTO_TEST_SUITE_END()
