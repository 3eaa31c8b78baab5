#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/concat.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_concat)

BOOST_AUTO_TEST_CASE(concat_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(counting({2, 2})), b = tape.constant({{7}, {8}}),
            c = tape.variable({{9}, {10}});
  const Var y = concat({a, b, c}, -1);
  check_values(y.value(), {2, 4}, {1, 2, 7, 9, 3, 4, 8, 10});
  const Gradients g = tape.backward(y, {.cotangent = counting({2, 4})});
  check_values(g[a], {2, 2}, {1, 2, 5, 6});
  check_values(g[c], {2, 1}, {4, 8});
  BOOST_TEST(!g.contains(b));
  check_values(concat({a, tape.variable(Tensor({0, 2}, DType::f64))}, 0).value(), {2, 2}, {1, 2, 3, 4});
}

BOOST_AUTO_TEST_CASE(a_part_used_twice_gets_both_gradients) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2}));
  const Var y = concat({x, x}, 0);
  check_values(tape.backward(y, {.cotangent = counting({4})})[x], {2}, {4, 6});
}

BOOST_AUTO_TEST_CASE(many_parts) {
  Tape tape({.dtype = DType::f64});
  std::vector<Var> parts;
  for (int i = 0; i < 20; ++i) parts.push_back(tape.variable({i}));
  const Gradients g = tape.backward(concat(parts, 0), {.cotangent = counting({20})});
  check_values(g[parts[19]], {1}, {20});
  const Gradients second =
      tape.backward(stack(parts), {.create_graph = true, .cotangent = counting({20, 1})});
  check_values(second[parts[19]], {1}, {20});
}

BOOST_AUTO_TEST_CASE(stack_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(counting({2})), b = tape.variable({3, 4});
  check_values(stack({a, b}).value(), {2, 2}, {1, 2, 3, 4});
  const Var y = stack({a, b}, -1);
  check_values(y.value(), {2, 2}, {1, 3, 2, 4});
  const Gradients g = tape.backward(y, {.cotangent = counting({2, 2})});
  check_values(g[b], {2}, {2, 4});
  check_values(stack({tape.full({}, 1), tape.full({}, 2)}).value(), {2}, {1, 2});
}

BOOST_AUTO_TEST_CASE(split_and_chunk) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 4}));
  const VarList parts = split(x, {1, 0, 3}, 1);
  BOOST_TEST_REQUIRE(parts.size() == 3);
  check_values(parts[0].value(), {2, 1}, {1, 5});
  check_values(parts[1].value(), {2, 0}, {});
  check_values(parts[2].value(), {2, 3}, {2, 3, 4, 6, 7, 8});
  const VarList halves = chunk(x, 2, -1);
  BOOST_TEST_REQUIRE(halves.size() == 2);
  check_values(halves[1].value(), {2, 2}, {3, 4, 7, 8});
  const Gradients g = tape.backward(2 * halves[1] + halves[0], {.cotangent = counting({2, 2})});
  check_values(g[x], {2, 4}, {1, 2, 2, 4, 3, 4, 6, 8});
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var a = tape.variable(Tensor({2, 3})), b = tape.variable(Tensor({3, 2})),
            c = tape.variable(Tensor({2}));
  BOOST_CHECK_EXCEPTION(
      concat({a, a, b}, 0), Error,
      says("concat: part 0 has shape [2, 3], part 2 has [3, 2]; only the extents of axis 0 may differ"));
  BOOST_CHECK_EXCEPTION(
      concat({a, c}, 1), Error,
      says("concat: part 0 has shape [2, 3], part 1 has [2]; only the extents of axis 1 may differ"));
  BOOST_CHECK_EXCEPTION(concat({a, b}, 2), Error,
                        says("concat: axis 2 is out of range for shape [2, 3], which has 2 axes"));
  BOOST_CHECK_EXCEPTION(concat({}, 0), Error, says("concat: needs at least one part"));
  BOOST_CHECK_EXCEPTION(concat({a, Var()}, 0), Error,
                        says("concat: an empty Var; it was never recorded on a tape"));
  BOOST_CHECK_EXCEPTION(
      stack({a, b}), Error,
      says("stack: part 0 has shape [2, 3], part 1 has [3, 2]; all parts must have one shape"));
  BOOST_CHECK_EXCEPTION(
      stack({a, a}, 3), Error,
      says("stack: axis 3 is out of range for parts of shape [2, 3], -3 to 2 are possible"));
  BOOST_CHECK_EXCEPTION(split(a, {1, 1}, 1), Error,
                        says("split: sizes add up to 2, axis 1 of shape [2, 3] has extent 3"));
  BOOST_CHECK_EXCEPTION(split(a, {4, -1}, 1), Error,
                        says("split: size -1 of axis 1 of shape [2, 3] is negative"));
  BOOST_CHECK_EXCEPTION(chunk(a, 2, 1), Error,
                        says("chunk: axis 1 of shape [2, 3] has extent 3, which is not divided by 2; split "
                             "takes unequal sizes"));
  BOOST_CHECK_EXCEPTION(chunk(a, 0, 1), Error,
                        says("chunk: axis 1 of shape [2, 3] has extent 3, which is not divided by 0; split "
                             "takes unequal sizes"));
}

BOOST_AUTO_TEST_CASE(sizes_that_overflow_are_refused) {
  Tape tape;
  BOOST_CHECK_EXCEPTION(
      split(tape.constant({1, 2}), {INT64_MAX, INT64_MAX, 4}, 0), Error,
      says("split: the sizes of axis 0 add up to more than any memory can hold; shape [2] has "
           "extent 2 there"));
}

BOOST_AUTO_TEST_SUITE_END()
