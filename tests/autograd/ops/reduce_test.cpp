#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tests/support/expect.h>

#include <cmath>
#include <limits>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }

/// Gradient of <y, 1, 2, 3, …>, found the same by the raw backward and as a graph.
Tensor gradient(const Var& y, const Var& x) {
  Tape& tape = y.tape();
  const Tensor g = tape.backward(y, {.cotangent = counting(y.shape())})[x].clone();
  const Tensor again = tape.backward(y, {.create_graph = true, .cotangent = counting(y.shape())})[x].clone();
  BOOST_TEST(again.to_vector() == g.to_vector(), boost::test_tools::per_element());
  return g;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(reduce_ops)

BOOST_AUTO_TEST_CASE(sums_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{1, 2, 3}, {4, 5, 6}}));
  check_values(sum(x).value(), {}, {21});
  check_values(sum(x, 0).value(), {3}, {5, 7, 9});
  check_values(sum(x, 1).value(), {2}, {6, 15});
  check_values(sum(x, {.axis = -1, .keepdim = true}).value(), {2, 1}, {6, 15});
  check_values(gradient(sum(x), x), {2, 3}, {1, 1, 1, 1, 1, 1});
  check_values(gradient(sum(x, 0), x), {2, 3}, {1, 2, 3, 1, 2, 3});
  check_values(gradient(sum(x, 1), x), {2, 3}, {1, 1, 1, 2, 2, 2});
  check_values(gradient(sum(x, {.axis = 1, .keepdim = true}), x), {2, 3}, {1, 1, 1, 2, 2, 2});
}

BOOST_AUTO_TEST_CASE(means_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{1, 2, 3, 6}, {5, 6, 7, 10}}));
  check_values(mean(x).value(), {}, {5});
  check_values(mean(x, 1).value(), {2}, {3, 7});
  check_values(mean(x, {.axis = 0, .keepdim = true}).value(), {1, 4}, {3, 4, 5, 8});
  check_values(gradient(mean(x), x), {2, 4}, std::vector<double>(8, 0.125));
  check_values(gradient(mean(x, -1), x), {2, 4}, {0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5});
  check_values(gradient(mean(x, 0), x), {2, 4}, {0.5, 1, 1.5, 2, 0.5, 1, 1.5, 2});
}

BOOST_AUTO_TEST_CASE(several_axes) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3, 4}));
  check_values(sum(x, {.axis = {0, 2}}).value(), {3}, {10 + 58, 26 + 74, 42 + 90});
  check_values(sum(x, {.axis = {-1, 0}, .keepdim = true}).value(), {1, 3, 1}, {68, 100, 132});
  check_values(sum(x, {.axis = {1, 2}}).value(), {2}, {78, 222});
  check_values(sum(x, {.axis = {2, 0, 1}}).value(), {}, {300});
  check_values(sum(x, {.axis = {1}}).value(), {2, 4}, {15, 18, 21, 24, 51, 54, 57, 60});
  check_values(mean(x, {.axis = {0, 2}}).value(), {3}, {8.5, 12.5, 16.5});
  check_values(mean(x, {.axis = {0, 1, 2}, .keepdim = true}).value(), {1, 1, 1}, {12.5});
  check_values(sum(x, {.axis = std::initializer_list<int>{}}).value(), {2, 3, 4},
               counting({2, 3, 4}).to_vector());
  const Tensor g = gradient(sum(x, {.axis = {0, 2}}), x);
  for (Index i = 0; i < 3; ++i) BOOST_TEST(g.at({1, i, 3}) == static_cast<double>(i + 1));
}

BOOST_AUTO_TEST_CASE(nothing_to_add) {
  Tape tape({.dtype = DType::f64});
  const Var empty = tape.variable(Tensor({2, 0, 3}, DType::f64));
  check_values(sum(empty).value(), {}, {0});
  check_values(sum(empty, 1).value(), {2, 3}, {0, 0, 0, 0, 0, 0});
  check_values(sum(empty, 0).value(), {0, 3}, {});
  BOOST_TEST(std::isnan(mean(empty).item()));
  BOOST_TEST((gradient(sum(empty), empty).shape() == Shape{2, 0, 3}));
  const Var scalar = tape.variable(f64(4));
  check_values(sum(scalar).value(), {}, {4});
  check_values(mean(scalar).value(), {}, {4});
  check_values(max(scalar).value(), {}, {4});
  check_values(gradient(sum(scalar), scalar), {}, {1});
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_sum_whatever_stands_beside_it) {
  Tape tape;
  std::vector<double> values;
  for (int i = 0; i < 3 * 41; ++i) values.push_back(std::sin(i) * 1e3);
  const Tensor rows = Tensor::from(values, {3, 41});
  const std::vector<double> last(values.end() - 41, values.end());
  const Tensor alone = Tensor::from(last, {41}), padded = sum(tape.constant(rows), 1).value();
  BOOST_TEST(sum(tape.constant(alone)).item() == padded.at({2}));
  // Along another axis the order is ascending.
  float expected = 0;
  for (const double v : last) expected += static_cast<float>(v);
  BOOST_TEST(sum(tape.constant(Tensor::from(last, {41, 1})), 0).value().size() == 1);
  const Var twice = tape.constant(Tensor::from(last, {41, 1})) + tape.constant(Tensor::zeros({1, 2}));
  BOOST_TEST(sum(twice, 0).value().at({1}) == static_cast<double>(expected));
}

BOOST_AUTO_TEST_CASE(extremes_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{1, 7, 3}, {8, 2, 9}}));
  check_values(max(x).value(), {}, {9});
  check_values(max(x, 0).value(), {3}, {8, 7, 9});
  check_values(max(x, {.axis = -1, .keepdim = true}).value(), {2, 1}, {7, 9});
  check_values(min(x).value(), {}, {1});
  check_values(min(x, {.axis = 0, .keepdim = true}).value(), {1, 3}, {1, 2, 3});
  check_values(min(x, 1).value(), {2}, {1, 2});
  check_values(gradient(max(x), x), {2, 3}, {0, 0, 0, 0, 0, 1});
  check_values(gradient(max(x, 0), x), {2, 3}, {0, 2, 0, 1, 0, 3});
  check_values(gradient(min(x, {.axis = 1, .keepdim = true}), x), {2, 3}, {1, 0, 0, 0, 2, 0});
}

BOOST_AUTO_TEST_CASE(ties_share_the_gradient) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{1, 3, 3}, {2, 2, 2}, {-1, -1, -2}}));
  check_values(gradient(max(x, 1), x), {3, 3}, {0, 0.5, 0.5, 2. / 3, 2. / 3, 2. / 3, 1.5, 1.5, 0});
  check_values(gradient(min(x), x), {3, 3}, {0, 0, 0, 0, 0, 0, 0, 0, 1});
}

BOOST_AUTO_TEST_CASE(extremes_pass_nan_and_infinities) {
  Tape tape({.dtype = DType::f64});
  const double inf = std::numeric_limits<double>::infinity();
  for (const Nested& values : {Nested{nan_value, 1, 2}, Nested{1, nan_value, 2}, Nested{1, 2, nan_value}}) {
    BOOST_TEST(std::isnan(max(tape.constant(values)).item()));
    BOOST_TEST(std::isnan(min(tape.constant(values)).item()));
  }
  const Var x = tape.variable(f64({-inf, -inf}));
  BOOST_TEST(max(x).item() == -inf);
  check_values(gradient(max(x), x), {2}, {0.5, 0.5});
}

BOOST_AUTO_TEST_CASE(variance_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{1, 3, 5, 7}, {2, 2, 2, 2}}));  // means 4 and 2
  check_values(var(x, 1).value(), {2}, {5, 0});
  check_values(var(x, {.axis = 0, .keepdim = true}).value(), {1, 4}, {0.25, 0.25, 2.25, 6.25});
  BOOST_TEST(std::abs(var(x, {.axis = 1, .correction = 1}).value().at({0}) - 20. / 3) < 1e-14);
  check_values(gradient(var(x, 1), x), {2, 4}, {-1.5, -0.5, 0.5, 1.5, 0, 0, 0, 0});
}

BOOST_AUTO_TEST_CASE(norm_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({{3, 4}, {0, 0}}));
  check_values(norm(x, 1).value(), {2}, {5, 0});
  check_values(norm(x, {.axis = 0, .keepdim = true}).value(), {1, 2}, {3, 4});
  const Var y = tape.variable(f64({{1, -1, 1, 1}, {0, 0, 0, 0}, {0, -8, 0, 0}}));
  check_values(gradient(norm(y, 1), y), {3, 4}, {0.5, -0.5, 0.5, 0.5, 0, 0, 0, 0, 0, -3, 0, 0});
  check_values(gradient(norm(x, {.axis = 0, .keepdim = true}), x), {2, 2}, {1, 2, 0, 0});
}

BOOST_AUTO_TEST_CASE(argmax_by_hand) {
  const Tensor x = f64({{1, 7, 7}, {8, nan_value, 9}});
  check_values(argmax(x, 1), {2}, {1, 1});  // the first of equal ones, the first NaN
  check_values(argmax(x, 0), {3}, {1, 1, 1});
  check_values(argmax(counting({2, 3, 2}), 1), {2, 2}, {2, 2, 2, 2});
  check_values(argmax(Tensor::of({5, 4}), -1), {}, {0});
  check_values(argmax(Tensor({0, 3}), 1), {0}, {});
  BOOST_TEST((argmax(x, 0).dtype() == DType::i64));
  Tape tape;
  check_values(argmax(tape.constant({{1, 2}, {4, 3}}), 1), {2}, {1, 0});
  std::vector<Index> best(2);
  argmax_rows(x, best);
  BOOST_TEST(best == (std::vector<Index>{1, 1}), boost::test_tools::per_element());
  best.pop_back();
  BOOST_CHECK_EXCEPTION(argmax_rows(x, best), Error,
                        says("argmax_rows: f64 of shape [2, 3] for 1 results, expected f32 or f64 [rows, "
                             "columns] and one for each row"));
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.constant(Tensor({2, 0})), y = tape.constant({{1, 2, 3}});
  const auto out_of_range = [](const char* op) {
    return says(fmt::format("{}: axis 2 is out of range for shape [2, 0], which has 2 axes", op));
  };
  BOOST_CHECK_EXCEPTION(sum(x, 2), Error, out_of_range("sum"));
  BOOST_CHECK_EXCEPTION(mean(x, {.axis = {0, 2}}), Error, out_of_range("mean"));
  BOOST_CHECK_EXCEPTION(max(x, 2), Error, out_of_range("max"));
  BOOST_CHECK_EXCEPTION(min(x, 2), Error, out_of_range("min"));
  BOOST_CHECK_EXCEPTION(var(x, 2), Error, out_of_range("var"));
  BOOST_CHECK_EXCEPTION(norm(x, 2), Error, out_of_range("norm"));
  BOOST_CHECK_EXCEPTION(argmax(x, 2), Error, out_of_range("argmax"));
  BOOST_CHECK_EXCEPTION(sum(x, {.axis = {1, -1}}), Error,
                        says("sum: axis -1 is named twice among the axes of shape [2, 0]"));
  BOOST_CHECK_EXCEPTION(max(x, 1), Error, says("max: x of shape [2, 0] has no elements along axis 1"));
  BOOST_CHECK_EXCEPTION(min(x), Error, says("min: x of shape [2, 0] has no elements"));
  BOOST_CHECK_EXCEPTION(argmax(x, -1), Error, says("argmax: x of shape [2, 0] has no elements along axis 1"));
  BOOST_CHECK_EXCEPTION(argmax(Tensor::ids({1, 2}), 0), Error,
                        says("argmax: needs f32 or f64, got i64 of shape [2]"));
  BOOST_CHECK_EXCEPTION(
      var(x, 1), Error,
      says("var: 0 elements of shape [2, 0] and correction 0; the divisor must be positive"));
  BOOST_CHECK_EXCEPTION(
      var(y, {.axis = 0, .correction = 1}), Error,
      says("var: 1 elements of shape [1, 3] and correction 1; the divisor must be positive"));
  BOOST_CHECK_EXCEPTION(sum(Var()), Error, says("sum: an empty Var; it was never recorded on a tape"));
  BOOST_CHECK_EXCEPTION(sum(tape.constant(1), 0), Error,
                        says("sum: axis 0 is out of range for shape [], which has 0 axes"));
}

BOOST_AUTO_TEST_CASE(norm_of_zeros_has_gradient_zero_and_nan_stays) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{0, 0, std::nan("")}, {0, 3, 1}});
  for (const bool keep : {false, true})
    for (const bool again : {false, true}) {
      const Var y = norm(x, {.axis = 0, .keepdim = keep});
      const Gradients g = tape.backward(sum(y), {.create_graph = again});
      const std::vector<double> dx = g[x].to_vector();
      BOOST_TEST((std::vector<double>(dx.begin(), dx.begin() + 2)) == (std::vector<double>{0, 0}),
                 boost::test_tools::per_element());
      BOOST_TEST((dx[3] == 0 && dx[4] == 1 && std::isnan(dx[2]) && std::isnan(dx[5])));
    }
}

BOOST_AUTO_TEST_SUITE_END()
