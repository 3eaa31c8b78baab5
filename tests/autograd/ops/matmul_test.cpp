#include <tapegrad/autograd/ops/matmul.h>
#include <tests/support/expect.h>

#include <algorithm>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_matmul)

BOOST_AUTO_TEST_CASE(matrices_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(counting({2, 3})), b = tape.variable({{1, 0}, {2, 1}, {0, 3}});
  const Var c = matmul(a, b);
  check_values(c.value(), {2, 2}, {5, 11, 14, 23});
  const Gradients g = tape.backward(c, {.cotangent = counting({2, 2})});
  check_values(g[a], {2, 3}, {1, 4, 6, 3, 10, 12});      // dC Bᵀ
  check_values(g[b], {3, 2}, {13, 18, 17, 24, 21, 30});  // Aᵀ dC
}

BOOST_AUTO_TEST_CASE(transposed_operands) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      Tape tape({.dtype = DType::f64});
      const Var a = tape.variable(ta ? Tensor::of({{1, 4}, {2, 5}, {3, 6}}, DType::f64) : counting({2, 3}));
      const Var b = tape.variable(tb ? Nested{{1, 2, 0}, {0, 1, 3}} : Nested{{1, 0}, {2, 1}, {0, 3}});
      const Var c = matmul(a, b, {.transpose_a = ta, .transpose_b = tb});
      check_values(c.value(), {2, 2}, {5, 11, 14, 23});
      for (const bool graph : {false, true}) {
        const Gradients g = tape.backward(c, {.create_graph = graph, .cotangent = counting({2, 2})});
        if (ta)
          check_values(g[a], {3, 2}, {1, 3, 4, 10, 6, 12});
        else
          check_values(g[a], {2, 3}, {1, 4, 6, 3, 10, 12});
        if (tb)
          check_values(g[b], {2, 3}, {13, 17, 21, 18, 24, 30});
        else
          check_values(g[b], {3, 2}, {13, 18, 17, 24, 21, 30});
      }
    }
}

BOOST_AUTO_TEST_CASE(vectors) {
  Tape tape({.dtype = DType::f64});
  const Var v = tape.variable(counting({3})), m = tape.variable(counting({2, 3})),
            s = tape.variable(counting({2, 3, 1}));
  check_values(matmul(v, v).value(), {}, {14});
  check_values(matmul(m, v).value(), {2}, {14, 32});
  check_values(matmul(v, s).value(), {2, 1}, {14, 32});
  check_values(matmul(v, m, {.transpose_b = true}).value(), {2}, {14, 32});
  check_values(tape.backward(matmul(v, v))[v], {3}, {2, 4, 6});
  const Gradients g = tape.backward(matmul(m, v), {.cotangent = counting({2})});
  check_values(g[v], {3}, {9, 12, 15});
  check_values(g[m], {2, 3}, {1, 2, 3, 2, 4, 6});
}

BOOST_AUTO_TEST_CASE(leading_axes_broadcast) {
  Tape tape({.dtype = DType::f64});
  const Var a = tape.variable(counting({2, 1, 1, 2})), b = tape.variable(counting({3, 2, 1}));
  const Var c = matmul(a, b);  // [2, 3, 1, 1]
  check_values(c.value(), {2, 3, 1, 1}, {5, 11, 17, 11, 25, 39});
  const Gradients g = tape.backward(c, {.cotangent = Tensor::full({2, 3, 1, 1}, 1, DType::f64)});
  check_values(g[a], {2, 1, 1, 2}, {9, 12, 9, 12});
  check_values(g[b], {3, 2, 1}, {4, 6, 4, 6, 4, 6});
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_its_batch) {
  Tape tape;
  const Tensor values = counting({4, 5, 7}, DType::f32);
  const Var b = tape.constant(counting({7, 19}, DType::f32));
  const Tensor together = matmul(tape.constant(values), b).value();
  Tensor third(Shape{7});
  std::copy_n(values.data<float>() + 13 * 7, 7, third.data<float>());
  const Tensor alone = matmul(tape.constant(third), b).value();
  for (Index j = 0; j < 19; ++j) BOOST_TEST(alone.at({j}) == together.at({2, 3, j}));
}

BOOST_AUTO_TEST_CASE(size_0) {
  Tape tape({.dtype = DType::f64});
  const auto none = [&](Shape shape) { return tape.variable(Tensor(shape, DType::f64)); };
  const Var a = none({2, 0}), b = none({0, 3});
  const Var c = matmul(a, b);
  check_values(c.value(), {2, 3}, {0, 0, 0, 0, 0, 0});
  const Gradients g = tape.backward(c, {.cotangent = counting({2, 3})});
  check_values(g[a], {2, 0}, {});
  check_values(g[b], {0, 3}, {});
  check_values(matmul(none({0}), none({0})).value(), {}, {0});
  check_values(matmul(none({0, 3}), none({3, 2})).value(), {0, 2}, {});
  const Var batch = none({0, 2, 3}), shared = tape.variable(counting({3, 2}));
  const Var empty = matmul(batch, shared);
  check_values(tape.backward(empty, {.cotangent = Tensor({0, 2, 2}, DType::f64)})[shared], {3, 2},
               {0, 0, 0, 0, 0, 0});
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const auto zeros = [&](Shape shape) { return tape.variable(Tensor(shape)); };
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({5, 3})), Error,
                        says("matmul: a [2, 3] and b [5, 3] do not fit: a has 3 columns, b has 5 rows; "
                             "{.transpose_b = true} would fit"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({3, 5}), {.transpose_b = true}), Error,
                        says("matmul: a [2, 3] and b [3, 5] transposed do not fit: a has 3 columns, b has 5 "
                             "rows; {.transpose_b = false} would fit"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({2, 5})), Error,
                        says("matmul: a [2, 3] and b [2, 5] do not fit: a has 3 columns, b has 2 rows; "
                             "{.transpose_a = true} would fit"));
  BOOST_CHECK_EXCEPTION(
      matmul(zeros({2, 3}), zeros({4})), Error,
      says("matmul: a [2, 3] and b [4] do not fit: a has 3 columns, b has 4 rows; these two must be equal"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 2, 3}), zeros({3, 3, 2})), Error,
                        says("matmul: leading axes [2] of a [2, 2, 3] and [3] of b [3, 3, 2] do not "
                             "broadcast; extents must be equal or 1"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({}), zeros({2, 3})), Error,
                        says("matmul: a is a scalar; multiply by it with *"));
  BOOST_CHECK_EXCEPTION(
      matmul(zeros({2, 3}), zeros({3}), {.transpose_b = true}), Error,
      says("matmul: b is a vector of shape [3], which has no transpose; leave out transpose_b"));
}

BOOST_AUTO_TEST_SUITE_END()
