#include <tapegrad/autograd/ops.h>
#include <tapegrad/autograd/ops/symbol.h>

#include <boost/test/unit_test.hpp>

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(symbols)

BOOST_AUTO_TEST_CASE(products_are_written_side_by_side_and_equal_factors_as_powers) {
  const Symbol x("x"), y("y"), dy("dy");
  BOOST_TEST((2 * (dy * x)).text() == "2 dy x");
  BOOST_TEST((-0.5 * (dy * y * y * y)).text() == "-0.5 dy y^3");
  BOOST_TEST((dy * (x * (1 - x))).text() == "dy x (1 - x)");
  BOOST_TEST((square(x) * x).text() == "x^3");
  BOOST_TEST((square(x + 1) * cos(x)).text() == "(x + 1)^2 cos x");
}

BOOST_AUTO_TEST_CASE(parentheses_stand_where_the_order_needs_them) {
  const Symbol x("x"), y("y"), dy("dy");
  BOOST_TEST((x - (y - 1)).text() == "x - (y - 1)");
  BOOST_TEST((x - y - 1).text() == "x - y - 1");
  BOOST_TEST((dy / (2 * y)).text() == "dy / (2 y)");
  BOOST_TEST((dy / x * y).text() == "(dy / x) y");
  BOOST_TEST((dy * (x / y)).text() == "dy (x / y)");
  BOOST_TEST((1 / square(x)).text() == "1 / x^2");
  BOOST_TEST((cos(x) * y).text() == "(cos x) y");
  BOOST_TEST((-(dy * sin(x))).text() == "-dy sin x");
  BOOST_TEST((-(x + y)).text() == "-(x + y)");
  BOOST_TEST(pow(x, y - 1).text() == "x^(y - 1)");
  BOOST_TEST(square(square(x)).text() == "(x^2)^2");
}

BOOST_AUTO_TEST_CASE(functions_have_their_usual_form) {
  const Symbol x("x");
  BOOST_TEST(exp(-x).text() == "e^-x");
  BOOST_TEST(exp(-0.5 * square(x)).text() == "e^(-0.5 x^2)");
  BOOST_TEST(tanh(x).text() == "tanh x");
  BOOST_TEST(log1p(exp(-abs(x))).text() == "ln(1 + e^-|x|)");
  BOOST_TEST(sqrt(max(x, 0) - min(x, 1)).text() == "sqrt(max(x, 0) - min(x, 1))");
  BOOST_TEST(Symbol(1.0 / 3).text() == "0.333333");
}

BOOST_AUTO_TEST_CASE(choices_name_their_conditions) {
  const Symbol x("x"), dy("dy");
  BOOST_TEST(where(x > 0, dy, 0).text() == "dy where x > 0, else 0");
  BOOST_TEST(where(x > 0, dy, where(x < 0, -dy, 0)).text() == "dy where x > 0, else -dy where x < 0, else 0");
  BOOST_TEST(where(x >= 0, where(x <= 1, dy, 0), 0).text() == "dy where x >= 0 and x <= 1, else 0");
  BOOST_TEST((dy * where(x > 0, 1, 2)).text() == "dy (1 where x > 0, else 2)");
}

BOOST_AUTO_TEST_CASE(named_parts_are_explained_once_behind_the_formula) {
  const Symbol x("x"), s = named("s", sigmoid(x));
  BOOST_TEST((x * (s + x * (1 - s))).text() == "x (s + x (1 - s)), s = sigmoid(x)");
}

BOOST_AUTO_TEST_CASE(formulas_of_elementwise_ops) {
  Tape tape;
  const Var x = tape.variable({1, 2});
  const auto formula = [&](const Var& y) { return std::string(tape.node(y.id().node).op->formula().text); };
  BOOST_TEST(formula(tanh(x)) == "y = tanh x;  dx = dy (1 - y^2)");
  BOOST_TEST(formula(sigmoid(x)) == "y = 1 / (1 + e^-x);  dx = dy y (1 - y)");
  BOOST_TEST(formula(relu(x)) == "y = max(x, 0);  dx = dy where x > 0, else 0");
  BOOST_TEST(formula(silu(x)) == "y = x sigmoid(x);  dx = dy (s + y (1 - s)), s = sigmoid(x)");
  BOOST_TEST(formula(softplus(x)) == "y = max(x, 0) + ln(1 + e^-|x|);  dx = dy sigmoid(x)");
  BOOST_TEST(formula(rsqrt(x)) == "y = 1 / sqrt(x);  dx = -0.5 dy y^3");
  BOOST_TEST(formula(clamp(x, 0, 1)) ==
             "y = min(max(x, low), high);  dx = dy where x >= low and x <= high, else 0");
  BOOST_TEST(formula(pow(x, 3)) == "y = x^exponent;  dx = exponent dy x^(exponent - 1)");
  BOOST_TEST(formula(normal_cdf(x)) == "y = (1 + erf(x / sqrt(2))) / 2;  dx = 0.398942 dy e^(-0.5 x^2)");
  BOOST_TEST(formula(gelu(x)) ==
             "y = x normal_cdf(x);  dx = dy (normal_cdf(x) + x (e^(-x^2 / 2) / sqrt(2 pi)))");
}

BOOST_AUTO_TEST_SUITE_END()
