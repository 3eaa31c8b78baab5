#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <tests/support/expect.h>
#include <cmath>

using namespace tapegrad;

namespace {

using test::says;

const TapeOptions f64{.dtype = DType::f64};

void check_values(const Tensor& actual, const std::vector<double>& values) {
  BOOST_TEST(actual.to_vector() == values, boost::test_tools::per_element());
}

Tensor matrix() { return Tensor::of({{1, 2, 3}, {4, 5, 6}}, DType::f64); }

}  // namespace

BOOST_AUTO_TEST_SUITE(arithmetic)

BOOST_AUTO_TEST_CASE(broadcasts_like_numpy_and_sums_back) {
  Tape tape(f64);
  const Var a = tape.variable(matrix()), row = tape.variable(Tensor::of({10, 20, 30}, DType::f64));
  const Var column = tape.variable(Tensor::of({{1}, {-1}}, DType::f64));
  const Var y = (a + row) * column;
  check_values(y.value(), {11, 22, 33, -14, -25, -36});
  const Gradients g = tape.backward(sum(y));
  check_values(g[a], {1, 1, 1, -1, -1, -1});
  check_values(g[row], {0, 0, 0});
  check_values(g[column], {66, 75});
}

BOOST_AUTO_TEST_CASE(division_and_subtraction) {
  Tape tape(f64);
  const Var a = tape.variable(Tensor::of({6, 8}, DType::f64)),
            b = tape.variable(Tensor::of({2, 4}, DType::f64));
  const Gradients g = tape.backward(sum(a / b - b));
  check_values(g[a], {0.5, 0.25});
  check_values(g[b], {-1.5 - 1, -0.5 - 1});
}

BOOST_AUTO_TEST_CASE(operators_take_numbers) {
  Tape tape(f64);
  const Var x = tape.variable(Tensor::of({1, 2}, DType::f64));
  check_values((2.0 * x + 1).value(), {3, 5});
  check_values((1 - x / 2).value(), {0.5, 0});
  check_values((x - 3).value(), {-2, -1});
  check_values((2.0 / x).value(), {2, 1});
  check_values((-x).value(), {-1, -2});
  const Gradients g = tape.backward(sum(2.0 / x));
  check_values(g[x], {-2, -0.5});
}

BOOST_AUTO_TEST_CASE(maximum_and_minimum_share_ties) {
  Tape tape(f64);
  const Var a = tape.variable(Tensor::of({1, 5, 3}, DType::f64)),
            b = tape.variable(Tensor::of({2, 4, 3}, DType::f64));
  check_values(maximum(a, b).value(), {2, 5, 3});
  check_values(minimum(a, b).value(), {1, 4, 3});
  const Gradients g = tape.backward(sum(maximum(a, b)));
  check_values(g[a], {0, 1, 0.5});
  check_values(g[b], {1, 0, 0.5});
}

BOOST_AUTO_TEST_CASE(a_value_used_twice_gets_both_parts) {
  Tape tape(f64);
  const Var x = tape.variable(Tensor::of({3}, DType::f64));
  const Var y = x * x;
  check_values(tape.backward(sum(y + y))[x], {12});
}

BOOST_AUTO_TEST_CASE(empty_and_scalar_shapes) {
  Tape tape(f64);
  const Var none = tape.variable(Tensor({2, 0}, DType::f64)),
            scalar = tape.variable(Tensor::full({}, 2, DType::f64));
  BOOST_TEST((none + scalar).shape() == (Shape{2, 0}));
  check_values(tape.backward(sum(none * scalar) + scalar)[scalar], {1});
}

BOOST_AUTO_TEST_CASE(errors_name_op_and_shapes) {
  Tape tape(f64);
  const Var a = tape.constant(matrix()), b = tape.constant(Tensor({2, 4}, DType::f64));
  const std::size_t before = tape.size();
  BOOST_CHECK_EXCEPTION(
      a + b, Error,
      says("add: shapes [2, 3] and [2, 4] do not broadcast; aligned at the last axis, extents must "
           "be equal or 1"));
  BOOST_CHECK_EXCEPTION(broadcast_to(a, {3, 3}), Error,
                        says("broadcast_to: shape [2, 3] does not broadcast to [3, 3]"));
  BOOST_CHECK_EXCEPTION(sum_to(a, {2, 2}), Error, says("sum_to: shape [2, 2] does not broadcast to [2, 3]"));
  BOOST_TEST(tape.size() == before);
}

BOOST_AUTO_TEST_CASE(maximum_and_minimum_pass_nan_on_from_either_side) {
  const double nan = std::nan("");
  Tape tape(f64);
  const Var a = tape.variable({nan, 1, nan, 2}), b = tape.variable({1, nan, nan, 3});
  for (const Var& y : {maximum(a, b), minimum(a, b)}) {
    const std::vector<double> values = y.value().to_vector();
    BOOST_TEST(
        (std::isnan(values[0]) && std::isnan(values[1]) && std::isnan(values[2]) && !std::isnan(values[3])));
    for (const bool again : {false, true}) {
      const Gradients g =
          tape.backward(y, {.create_graph = again, .cotangent = Tensor::full({4}, 2, DType::f64)});
      const double larger = values[3] == 2 ? 2 : 0;
      check_values(g[a], {1, 1, 1, larger});
      check_values(g[b], {1, 1, 1, 2 - larger});
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
