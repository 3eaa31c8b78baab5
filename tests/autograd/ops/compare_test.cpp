#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/compare.h>
#include <tests/support/expect.h>

#include <limits>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }
Tensor mask(const Nested& values) { return Tensor::of(values, DType::boolean); }
}  // namespace

BOOST_AUTO_TEST_SUITE(compare_ops)

BOOST_AUTO_TEST_CASE(comparisons_by_hand) {
  Tape tape;
  const Var a = tape.constant({1, 2, 3, nan_value}), b = tape.constant({2, 2, 2, 2});
  check_values(equal(a, b), {4}, {0, 1, 0, 0});
  check_values(not_equal(a, b), {4}, {1, 0, 1, 1});
  check_values(less(a, b), {4}, {1, 0, 0, 0});
  check_values(less_equal(a, b), {4}, {1, 1, 0, 0});
  check_values(greater(a, b), {4}, {0, 0, 1, 0});
  check_values(greater_equal(a, b), {4}, {0, 1, 1, 0});
  BOOST_TEST((less(a, b).dtype() == DType::boolean));
}

BOOST_AUTO_TEST_CASE(comparisons_broadcast_and_outlive_the_tape) {
  Tensor result, empty;
  {
    Tape tape({.dtype = DType::f64});
    result = less(tape.constant({{1}, {2}}), tape.constant({1, 2, 3}));
    empty = less(tape.constant(Tensor({0, 1}, DType::f64)), tape.constant({1, 2, 3}));
  }
  check_values(result, {2, 3}, {0, 1, 1, 0, 0, 1});
  check_values(empty, {0, 3}, {});
}

BOOST_AUTO_TEST_CASE(comparison_errors) {
  Tape tape, other;
  const Var a = tape.constant({{1, 2}, {3, 4}}), b = tape.constant({1, 2, 3});
  BOOST_CHECK_EXCEPTION(
      less(a, b), Error,
      says("less: shapes [2, 2] and [3] do not broadcast; aligned at the last axis, extents must be "
           "equal or 1"));
  BOOST_CHECK_EXCEPTION(equal(a, other.constant(1)), Error,
                        says("equal: operands of shapes [2, 2] and [] were recorded on two tapes"));
  BOOST_CHECK_EXCEPTION(greater(a, Var()), Error,
                        says("greater: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_CASE(where_chooses_and_routes_the_gradient) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(f64({1, 2, 3})), b = tape.variable(f64({{10}, {20}}));
  const Var c = where(mask({{1, 0, 1}, {0, 0, 1}}), a, b);
  check_values(c.value(), {2, 3}, {1, 10, 3, 20, 20, 3});
  const Tensor dc = f64({{1, 2, 3}, {4, 5, 6}});
  for (const bool again : {false, true}) {
    const Gradients g = tape.backward(c, {.create_graph = again, .cotangent = dc});
    check_values(g[a], {3}, {1, 0, 9});
    check_values(g[b], {2, 1}, {2, 9});
  }
}

BOOST_AUTO_TEST_CASE(where_widened_by_its_condition) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(f64(2)), b = tape.variable(f64(3));
  const Var c = where(mask({{1, 0, 0}}), a, b);
  check_values(c.value(), {1, 3}, {2, 3, 3});
  const Gradients g = tape.backward(c, {.cotangent = f64({{1, 10, 100}})});
  check_values(g[a], {}, {1});
  check_values(g[b], {}, {110});
}

BOOST_AUTO_TEST_CASE(where_keeps_what_is_not_chosen_out) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(f64({nan_value, 4}));
  const Var y = where(mask({1, 0}), tape.full({}, 7), x);
  check_values(y.value(), {2}, {7, 4});
  check_values(tape.backward(y, {.cotangent = f64({nan_value, 1})})[x], {2}, {0, 1});
}

BOOST_AUTO_TEST_CASE(where_copies_its_condition) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(f64({1, 2})), b = tape.variable(f64({3, 4}));
  Tensor condition = mask({1, 0});
  const Var c = where(condition, a, b);
  condition.fill(0);
  check_values(tape.backward(c, {.cotangent = f64({1, 1})})[a], {2}, {1, 0});
}

BOOST_AUTO_TEST_CASE(where_errors_leave_the_tape_as_it_was) {
  Tape tape;
  const Var a = tape.constant({{1, 2}}), b = tape.constant({1, 2, 3});
  const std::size_t size = tape.size(), bytes = tape.bytes();
  BOOST_CHECK_EXCEPTION(where(Tensor::of({1, 0}), a, a), Error,
                        says("where: condition must be boolean, got f32 of shape [2]; comparisons such as "
                             "greater(a, b) make one"));
  BOOST_CHECK_EXCEPTION(
      where(mask({1, 0}), a, b), Error,
      says("where: condition [2], a [1, 2] and b [3] do not broadcast; aligned at the last axis, "
           "extents must be equal or 1"));
  BOOST_CHECK_EXCEPTION(
      where(mask({1, 0, 1}), a, a), Error,
      says("where: condition [3], a [1, 2] and b [1, 2] do not broadcast; aligned at the last "
           "axis, extents must be equal or 1"));
  BOOST_CHECK_EXCEPTION(where(mask({1, 0}), a, Var()), Error,
                        says("where: an empty Var; it was never recorded on a tape"));
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(tape.bytes() == bytes);
}

BOOST_AUTO_TEST_CASE(masked_fill_by_hand) {
  Tape tape({.dtype = DType::f64});
  const double inf = std::numeric_limits<double>::infinity();
  const Var x = tape.variable(f64({{1, 2, 3}, {4, 5, 6}}));
  const Var y = masked_fill(x, mask({0, 1, 0}), -inf);
  check_values(y.value(), {2, 3}, {1, -inf, 3, 4, -inf, 6});
  for (const bool again : {false, true}) {
    const Gradients g = tape.backward(y, {.create_graph = again, .cotangent = f64({{1, 2, 3}, {4, 5, 6}})});
    check_values(g[x], {2, 3}, {1, 0, 3, 4, 0, 6});
  }
  check_values(masked_fill(x, mask({{1}, {0}}), 9).value(), {2, 3}, {9, 9, 9, 4, 5, 6});
  check_values(masked_fill(tape.constant(2), mask(1), 9).value(), {}, {9});
}

BOOST_AUTO_TEST_CASE(masked_fill_errors) {
  Tape tape;
  const Var x = tape.constant({1, 2, 3});
  BOOST_CHECK_EXCEPTION(masked_fill(x, mask({{1, 0, 1}}), 0), Error,
                        says("masked_fill: mask of shape [1, 3] does not broadcast to x [3]"));
  BOOST_CHECK_EXCEPTION(masked_fill(x, mask({1, 0}), 0), Error,
                        says("masked_fill: mask of shape [2] does not broadcast to x [3]"));
  BOOST_CHECK_EXCEPTION(masked_fill(x, Tensor::ids({1, 0, 0}), 0), Error,
                        says("masked_fill: mask must be boolean, got i64 of shape [3]; comparisons such as "
                             "greater(a, b) make one"));
}

BOOST_AUTO_TEST_SUITE_END()
