#include <tapegrad/autograd/ops/compare.h>
#include <tapegrad/autograd/ops/cross_entropy.h>
#include <tapegrad/autograd/ops/index.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_index)

BOOST_AUTO_TEST_CASE(embedding_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var w = tape.variable(counting({4, 2}));
  const Var y = embedding(w, Tensor::ids({{3, 0, 3}}));
  check_values(y.value(), {1, 3, 2}, {7, 8, 1, 2, 7, 8});
  const Gradients g = tape.backward(y, {.cotangent = counting({1, 3, 2})});
  check_values(g[w], {4, 2}, {3, 4, 0, 0, 0, 0, 6, 8});
  check_values(embedding(w, Tensor::ids(2)).value(), {2}, {5, 6});
  check_values(embedding(w, Tensor({2, 0}, DType::i64)).value(), {2, 0, 2}, {});
  check_values(embedding(tape.variable(Tensor({3, 0}, DType::f64)), Tensor::ids({1})).value(), {1, 0}, {});
}

BOOST_AUTO_TEST_CASE(the_padding_row_has_a_value_and_no_gradient) {
  for (const bool graph : {false, true}) {
    Tape tape({.dtype = DType::f64});
    const Var w = tape.variable(counting({3, 2}));
    const Var y = embedding(w, Tensor::ids({1, 2, 1}), 1);
    check_values(y.value(), {3, 2}, {3, 4, 5, 6, 3, 4});
    const Gradients g = tape.backward(y, {.create_graph = graph, .cotangent = counting({3, 2})});
    check_values(g[w], {3, 2}, {0, 0, 0, 0, 3, 4});
  }
}

BOOST_AUTO_TEST_CASE(ids_are_copied) {
  Tape tape({.dtype = DType::f64});
  const Var w = tape.variable(counting({3, 1}));
  Tensor ids = Tensor::ids({0, 2});
  const Var y = embedding(w, ids);
  ids.fill(1);
  check_values(tape.backward(y, {.cotangent = counting({2, 1})})[w], {3, 1}, {1, 0, 2});
}

BOOST_AUTO_TEST_CASE(gather_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3}));
  const Var y = gather(x, -1, Tensor::ids({{2, 2}, {0, 1}}));
  check_values(y.value(), {2, 2}, {3, 3, 4, 5});
  check_values(tape.backward(y, {.cotangent = counting({2, 2})})[x], {2, 3}, {0, 0, 3, 3, 4, 0});
  const Var rows = gather(x, 0, Tensor::ids({{1, 0, 1}}));
  check_values(rows.value(), {1, 3}, {4, 2, 6});
  check_values(tape.backward(rows, {.cotangent = counting({1, 3})})[x], {2, 3}, {0, 2, 0, 1, 0, 3});
}

BOOST_AUTO_TEST_CASE(scatter_add_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 2}));
  const Var y = scatter_add(x, 1, Tensor::ids({{2, 2}, {0, 1}}), 3);
  check_values(y.value(), {2, 3}, {0, 0, 3, 3, 4, 0});
  check_values(tape.backward(y, {.cotangent = counting({2, 3})})[x], {2, 2}, {3, 3, 4, 5});
}

BOOST_AUTO_TEST_CASE(index_select_and_index_add_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3}));
  const Var y = index_select(x, 1, Tensor::ids({2, 0, 2}));
  check_values(y.value(), {2, 3}, {3, 1, 3, 6, 4, 6});
  check_values(tape.backward(y, {.cotangent = counting({2, 3})})[x], {2, 3}, {2, 0, 4, 5, 0, 10});
  const Var z = index_add(x, 1, Tensor::ids({3, 0, 3}), 4);
  check_values(z.value(), {2, 4}, {2, 0, 0, 4, 5, 0, 0, 10});
  check_values(tape.backward(z, {.cotangent = counting({2, 4})})[x], {2, 3}, {4, 1, 4, 8, 5, 8});
  check_values(index_select(x, 0, Tensor({0}, DType::i64)).value(), {0, 3}, {});
}

BOOST_AUTO_TEST_CASE(ids_out_of_range) {
  Tape tape;
  const Var w = tape.variable(Tensor({11, 2})), none = tape.variable(Tensor({0, 2}));
  BOOST_CHECK_EXCEPTION(embedding(w, Tensor::ids({{1, 2, 3, 12}})), Error,
                        says("embedding: id 12 at position [0, 3] is out of range for 11 rows"));
  BOOST_CHECK_EXCEPTION(embedding(w, Tensor::ids({{1, 2}, {10, -1}})), Error,
                        says("embedding: id -1 at position [1, 1] is out of range for 11 rows"));
  BOOST_CHECK_EXCEPTION(embedding(w, Tensor::ids(11)), Error,
                        says("embedding: id 11 at position [] is out of range for 11 rows"));
  BOOST_CHECK_EXCEPTION(embedding(none, Tensor::ids({0})), Error,
                        says("embedding: id 0 at position [0] is out of range for 0 rows"));
  BOOST_CHECK_EXCEPTION(embedding(w, Tensor::ids({0}), 11), Error,
                        says("embedding: padding_idx 11 is out of range for 11 rows"));
  const Var x = tape.variable(Tensor({1, 2}));
  BOOST_CHECK_EXCEPTION(gather(x, 1, Tensor::ids({{1, 0, 2}})), Error,
                        says("gather: id 2 at position [0, 2] is out of range for 2 elements along axis 1"));
  BOOST_CHECK_EXCEPTION(
      scatter_add(x, -1, Tensor::ids({{3, 5}}), 4), Error,
      says("scatter_add: id 5 at position [0, 1] is out of range for 4 elements along axis 1"));
  BOOST_CHECK_EXCEPTION(
      index_select(x, 0, Tensor::ids({0, 1})), Error,
      says("index_select: id 1 at position [1] is out of range for 1 elements along axis 0"));
  BOOST_CHECK_EXCEPTION(index_add(x, 1, Tensor::ids({-7, 0}), 3), Error,
                        says("index_add: id -7 at position [0] is out of range for 3 elements along axis 1"));
}

BOOST_AUTO_TEST_CASE(shapes_and_dtypes_that_do_not_fit) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  BOOST_CHECK_EXCEPTION(embedding(x, Tensor({2})), Error,
                        says("embedding: ids must be i64, got f32 of shape [2]; make them with Tensor::ids"));
  BOOST_CHECK_EXCEPTION(embedding(tape.variable(Tensor({2})), Tensor::ids({0})), Error,
                        says("embedding: weight must be [rows, width], got [2]"));
  BOOST_CHECK_EXCEPTION(
      gather(x, 1, Tensor::ids({0, 1})), Error,
      says("gather: x [2, 3] and ids [2] do not fit; only the extents of axis 1 may differ"));
  BOOST_CHECK_EXCEPTION(
      gather(x, -1, Tensor::ids({{0, 1}})), Error,
      says("gather: x [2, 3] and ids [1, 2] do not fit; only the extents of axis -1 may differ"));
  BOOST_CHECK_EXCEPTION(scatter_add(x, 1, Tensor::ids({{0, 1}}), 3), Error,
                        says("scatter_add: x [2, 3] and ids [1, 2] must have one shape"));
  BOOST_CHECK_EXCEPTION(
      index_select(x, 0, Tensor::ids({{0}})), Error,
      says("index_select: ids must have one axis, got shape [1, 1]; gather takes an id for every element"));
  BOOST_CHECK_EXCEPTION(
      index_add(x, 1, Tensor::ids({0}), 3), Error,
      says("index_add: x [2, 3] and ids [1] do not fit: ids must be [3], one for each index of axis 1"));
  BOOST_CHECK_EXCEPTION(embedding({}, Tensor::ids({0})), Error,
                        says("embedding: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_CASE(a_refused_call_leaves_nothing_in_the_arena) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  const Tensor ids = Tensor::ids({{1, 0, 1}, {0, 1, 0}}), row = Tensor::ids({0, 1}),
               mask({2, 3}, DType::boolean);
  tape.backward(sum(x), {.consume = true});  // from now on every op throws
  const std::size_t bytes = tape.bytes();
  BOOST_CHECK_THROW(embedding(x, ids), Error);
  BOOST_CHECK_THROW(gather(x, 0, ids), Error);
  BOOST_CHECK_THROW(scatter_add(x, 0, ids, 2), Error);
  BOOST_CHECK_THROW(index_select(x, 0, row), Error);
  BOOST_CHECK_THROW(index_add(x, 0, row, 2), Error);
  BOOST_CHECK_THROW(where(mask, x, x), Error);
  BOOST_CHECK_THROW(masked_fill(x, mask, 0), Error);
  BOOST_CHECK_THROW(cross_entropy(x, row), Error);
  BOOST_TEST(tape.bytes() == bytes);
}

BOOST_AUTO_TEST_SUITE_END()
