#include <tapegrad/autograd/ops/linear.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_linear)

BOOST_AUTO_TEST_CASE(by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(counting({2, 2})), w = tape.variable({{1, 0}, {0, 2}, {1, 1}}),
              b = tape.variable({10, 20, 30});
    const Var y = linear(x, w, b);
    check_values(y.value(), {2, 3}, {11, 24, 33, 13, 28, 37});
    const Gradients g = tape.backward(y, {.cotangent = counting({2, 3})});
    check_values(g[x], {2, 2}, {4, 7, 10, 16});
    check_values(g[w], {3, 2}, {13, 18, 17, 24, 21, 30});
    check_values(g[b], {3}, {5, 7, 9});
    check_values(linear(x, w).value(), {2, 3}, {1, 4, 3, 3, 8, 7});
  }
}

BOOST_AUTO_TEST_CASE(a_range_of_rows) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(counting({2, 2})), w = tape.variable(counting({4, 2})),
              b = tape.variable({10, 20, 30, 40});
    const Var y = linear(x, rows(w, 1, 2), rows(b, 1, 2));
    check_values(y.value(), {2, 2}, {31, 47, 45, 69});
    const Gradients g = tape.backward(y, {.cotangent = counting({2, 2})});
    check_values(g[x], {2, 2}, {13, 16, 29, 36});
    check_values(g[w], {4, 2}, {0, 0, 10, 14, 14, 20, 0, 0});
    check_values(g[b], {4}, {0, 4, 6, 0});
  }
}

BOOST_AUTO_TEST_CASE(a_part_of_a_longer_bias) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(counting({2, 2})), w = tape.variable(counting({2, 2})),
              b = tape.variable({10, 20, 30, 40, 50});
    const Var y = linear(x, w, rows(b, 2, 2));
    check_values(y.value(), {2, 2}, {35, 51, 41, 65});
    const Gradients g = tape.backward(y, {.cotangent = counting({2, 2})});
    check_values(g[w], {2, 2}, {10, 14, 14, 20});
    check_values(g[b], {5}, {0, 0, 4, 6, 0});
    check_values(linear(x, w).value(), {2, 2}, {5, 11, 11, 25});
    for (const Index begin : {-1, 4, 9})
      BOOST_CHECK_EXCEPTION(
          linear(x, w, rows(b, begin, 2)), Error,
          says(fmt::format("rows: 2 rows from row {} on are out of range for [5], which has 5", begin)));
  }
}

BOOST_AUTO_TEST_CASE(parameters_are_operands) {
  ParameterStore params(1, DType::f64);
  const Parameter w = params.root().parameter("w", {4, 2},
                                              [](Tensor&x, RandomKey) { x.array<double>() = 2; }),
                  b = params.root().parameter("b", {4}, [](Tensor&x, RandomKey) { x.array<double>() = 3; });
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 2}));
  check_values(linear(x, w, b).value(), {2, 4}, {9, 9, 9, 9, 17, 17, 17, 17});
  check_values(linear(x, w).value(), {2, 4}, {6, 6, 6, 6, 14, 14, 14, 14});
  const Gradients g = tape.backward(sum(linear(x, rows(w, 1, 2), rows(b, 1, 2))));
  check_values(g[w], {4, 2}, {0, 0, 4, 6, 4, 6, 0, 0});
  check_values(g[b], {4}, {0, 2, 2, 0});
  check_values(linear(x, w, Parameter()).value(), {2, 4}, {6, 6, 6, 6, 14, 14, 14, 14});
  BOOST_CHECK_EXCEPTION(rows(w, 3, 2), Error,
                        says("rows: 2 rows from row 3 on are out of range for [4, 2], which has 4"));
}

BOOST_AUTO_TEST_CASE(vectors_sequences_and_size_0) {
  Tape tape({.dtype = DType::f64});
  const auto none = [&](Shape shape) { return tape.variable(Tensor(shape, DType::f64)); };
  const Var w = tape.variable(counting({1, 2})), b = tape.variable({5});
  check_values(linear(tape.variable({3, 4}), w, b).value(), {1}, {16});
  check_values(linear(tape.variable(counting({2, 2, 2})), w, b).value(), {2, 2, 1}, {10, 16, 22, 28});
  check_values(linear(none({2, 0}), none({1, 0}), b).value(), {2, 1}, {5, 5});
  check_values(linear(none({2, 0}), none({1, 0})).value(), {2, 1}, {0, 0});
  const Var empty = linear(none({0, 2}), w, b);
  check_values(empty.value(), {0, 1}, {});
  check_values(tape.backward(empty, {.cotangent = Tensor({0, 1}, DType::f64)})[w], {1, 2}, {0, 0});
  check_values(linear(tape.variable({3, 4}), rows(w, 1, 0), rows(b, 1, 0)).value(), {0}, {});
}

BOOST_AUTO_TEST_CASE(only_what_needs_a_gradient_gets_one) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.constant(counting({2, 2})), w = tape.constant(counting({1, 2})), b = tape.variable({5});
  const Gradients g = tape.backward(linear(x, w, b), {.cotangent = counting({2, 1})});
  check_values(g[b], {1}, {3});
  BOOST_TEST(!g.contains(w));
  BOOST_TEST(!g.contains(x));
}

BOOST_AUTO_TEST_CASE(errors) {
  for (const bool fused : {true, false}) {
    Tape tape({.fused = fused});
    const auto zeros = [&](Shape shape) { return tape.variable(Tensor(shape)); };
    const Var x = zeros({2, 3}), w = zeros({4, 3}), b = zeros({4});
    BOOST_CHECK_EXCEPTION(linear(x, zeros({3, 4}), b), Error,
                          says("linear: x [2, 3] and weight [3, 4] do not fit: weight is [out, in], so x's "
                               "last axis must be 4"));
    BOOST_CHECK_EXCEPTION(
        linear(zeros({}), w), Error,
        says("linear: x [] and weight [4, 3] do not fit: weight is [out, in], so x's last axis must be 3"));
    BOOST_CHECK_EXCEPTION(linear(x, zeros({3})), Error, says("linear: weight must be [out, in], got [3]"));
    BOOST_CHECK_EXCEPTION(
        linear(x, w, zeros({3})), Error,
        says("linear: bias [3] and weight [4, 3] do not fit: weight is [out, in], so bias must be [4]"));
    BOOST_CHECK_EXCEPTION(linear(x, rows(w, 2, 3)), Error,
                          says("rows: 3 rows from row 2 on are out of range for [4, 3], which has 4"));
    BOOST_CHECK_EXCEPTION(linear(x, rows(w, 0, -1)), Error,
                          says("rows: -1 rows from row 0 on are out of range for [4, 3], which has 4"));
    BOOST_CHECK_EXCEPTION(linear(x, {}, b), Error,
                          says("linear: an empty Var; it was never recorded on a tape"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
