// The equation of attention: shapes, and every step of it by hand.
#include <tapegrad/autograd/ops/attention/equation.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {

BOOST_AUTO_TEST_SUITE(attention_equation_steps)

BOOST_AUTO_TEST_CASE(one_query_by_hand) {
  Tape tape({.dtype = DType::f64});
  // Scores 2 · 3 / √1 and 2 · (−1) + 1; the third key is masked.
  const Var query = tape.variable({{{{2}}}}), key = tape.variable({{{{3}, {-1}, {7}}}}),
            value = tape.variable({{{{10, 1}, {20, 2}, {30, 3}}}}), bias = tape.variable({{0, 1, 0}});
  const AttentionSteps steps =
      attention_equation(query, key, value, {.mask = Mask::from_lengths(Tensor::ids({2})), .bias = bias});
  const double a = std::exp(6), b = std::exp(-1), p = a / (a + b), q = b / (a + b);
  BOOST_TEST((steps.scores.value().to_vector() == std::vector<double>{6, -1, 14}));
  const std::vector<double> weights = steps.weights.value().to_vector();
  BOOST_TEST(std::abs(weights[0] - p) < 1e-15);
  BOOST_TEST(std::abs(weights[1] - q) < 1e-15);
  BOOST_TEST(weights[2] == 0);
  BOOST_TEST((steps.dropped.value().to_vector() == weights));
  const std::vector<double> context = steps.context.value().to_vector();
  BOOST_TEST(std::abs(context[0] - (10 * p + 20 * q)) < 1e-13);
  BOOST_TEST(std::abs(context[1] - (p + 2 * q)) < 1e-13);
  BOOST_TEST(steps.state.scale == 1);
}

BOOST_AUTO_TEST_CASE(dropout_takes_one_draw_and_a_failed_equation_none) {
  Tape tape({.dtype = DType::f64, .training = true, .seed = 3});
  const Var x = tape.full({1, 2, 3, 4}, 1), narrow = tape.full({1, 2, 3, 5}, 1);
  BOOST_CHECK_THROW(attention_equation(x, narrow, x, {.dropout = 0.5}), Error);
  BOOST_TEST(tape.size() == 2U);
  attention_equation(x, x, x, {.dropout = 0.5});
  BOOST_TEST((tape.next_draw().value == random_key(3, 0, 0, 1).value));
}

BOOST_AUTO_TEST_CASE(packed_heads_are_refused) {
  Tape tape;
  const Var x = tape.full({1, 3, 4}, 1);
  BOOST_TEST(
      test::error_of([&] { attention_equation(x, x, x, {.layout = PackedHeads{2}}); }) ==
      "attention_equation: query [1, 3, 4] with the layout PackedHeads{2}, expected [batch, heads, time, "
      "dim] with HeadAxis; split_heads makes it");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
