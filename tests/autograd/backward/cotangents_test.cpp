// The gradient buffers of a backward pass: the op that writes a buffer first, and the reuse of buffers.
#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>

namespace tapegrad {
namespace {

using test::counting;
using test::error_of;

/// Leaves NaN in the memory of gradients to come.
void poison(Tape& tape) {
  tape.reset();
  const Var x = tape.variable(Tensor({64, 64}, tape.dtype()));
  const Var nan = tape.full({64, 64}, std::numeric_limits<double>::quiet_NaN());
  Var y = x;
  for (int i = 0; i < 8; ++i) y = y * nan;
  tape.backward(sum(y));
  tape.reset();
}

struct Rows {
  Index begin, count;
};

/// Gradients of a weight [8, 3] and a bias [8] of which only `parts` are read, each with a factor of its own.
std::vector<Tensor> packed(Tape& tape, const std::vector<Rows>& parts, bool consume) {
  poison(tape);
  const Var x = tape.variable(counting({2, 3})), w = tape.variable(counting({8, 3})),
            b = tape.variable(counting({8}));
  Var total = tape.full({}, 0);
  double factor = 1;
  for (const Rows& part : parts) {
    total = total + sum(linear(x, rows(w, part.begin, part.count), rows(b, part.begin, part.count))) * factor;
    factor *= 2;
  }
  const Gradients g = tape.backward(total, {.consume = consume});
  return {g[x].clone(), g[w].clone(), g[b].clone()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cotangents)

BOOST_AUTO_TEST_CASE(parts_of_a_weight_are_written_once_and_the_rest_is_zero) {
  Tape tape({.dtype = DType::f64});
  const std::vector<std::vector<Rows>> cases = {
      {{0, 3}, {3, 3}, {6, 2}}, {{6, 2}, {3, 3}, {0, 3}}, {{3, 3}, {0, 3}, {6, 2}}, {{2, 2}},
      {{0, 2}, {6, 2}},         {{6, 2}, {0, 2}},         {{1, 4}, {3, 4}},         {{3, 4}, {1, 4}},
      {{3, 1}, {1, 6}},         {{1, 6}, {3, 1}},         {{0, 8}, {3, 2}},         {{3, 2}, {0, 8}},
      {{4, 0}, {1, 2}},         {{2, 2}, {2, 2}, {5, 1}}};
  for (const auto& parts : cases)
    for (const bool consume : {false, true}) {
      std::vector<double> weight(24, 0), bias(8, 0), x(3, 0);
      double factor = 1;
      for (const Rows& rows : parts) {
        for (Index row = rows.begin; row < rows.begin + rows.count; ++row) {
          bias[static_cast<std::size_t>(row)] += 2 * factor;
          for (Index c = 0; c < 3; ++c) {
            weight[static_cast<std::size_t>(3 * row + c)] += factor * static_cast<double>(5 + 2 * c);
            x[static_cast<std::size_t>(c)] += factor * static_cast<double>(3 * row + c + 1);
          }
        }
        factor *= 2;
      }
      x.insert(x.end(), x.begin(), x.begin() + 3);
      const std::vector<Tensor> g = packed(tape, parts, consume);
      BOOST_TEST(g[0].to_vector() == x, boost::test_tools::per_element());
      BOOST_TEST(g[1].to_vector() == weight, boost::test_tools::per_element());
      BOOST_TEST(g[2].to_vector() == bias, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(parts_of_a_result_are_completed_before_it_is_walked_through) {
  Tape tape({.dtype = DType::f64});
  for (const bool consume : {false, true}) {
    poison(tape);
    const Var x = tape.constant(counting({1, 2})), v = tape.variable(counting({4, 2}));
    const Var w = v * 1;  // a result, whose middle rows alone are read
    const Gradients g = tape.backward(sum(linear(x, rows(w, 1, 2))), {.consume = consume});
    test::check_values(g[v].clone(), {4, 2}, {0, 0, 1, 2, 1, 2, 0, 0});
  }
}

BOOST_AUTO_TEST_CASE(a_value_that_one_op_reads_twice_gets_both) {
  Tape tape({.dtype = DType::f64});
  const auto check = [&](auto&& f, const std::vector<double>& expected) {
    for (const bool consume : {false, true}) {
      poison(tape);
      const Var x = tape.variable({3, 4});
      BOOST_TEST(tape.backward(sum(f(x)), {.consume = consume})[x].to_vector() == expected,
                 boost::test_tools::per_element());
    }
  };
  check([](const Var& x) { return x + x; }, {2, 2});
  check([](const Var& x) { return x - x; }, {0, 0});
  check([](const Var& x) { return x * x; }, {6, 8});
  check([](const Var& x) { return x / x; }, {0, 0});
  check([](const Var& x) { return (x + 1) + (x + 1); }, {2, 2});
  check([](const Var& x) { return matmul(x, x); }, {6, 8});
  check(
      [](const Var& x) {
        const Var y = x * 2;
        return y + (y + y * y);
      },
      {28, 36});
}

BOOST_AUTO_TEST_CASE(a_cotangent_that_was_handed_over_is_added_to_afterwards) {
  Tape tape({.dtype = DType::f64});
  for (const bool consume : {false, true}) {
    poison(tape);
    const Var x = tape.variable({1, 2, 3}), b = tape.variable({5, 6, 7});
    Var y = x;
    for (int i = 0; i < 4; ++i) y = y + reshape(reshape(y * y, {3, 1}) + 1, {3}) - b;  // x and b both ways
    const Gradients g = tape.backward(sum(y * b), {.consume = consume});
    Tape definitions({.dtype = DType::f64, .fused = false});
    const Var u = definitions.variable({1, 2, 3}), c = definitions.variable({5, 6, 7});
    Var v = u;
    for (int i = 0; i < 4; ++i) v = v + reshape(reshape(v * v, {3, 1}) + 1, {3}) - c;
    const Gradients expected = definitions.backward(sum(v * c), {.create_graph = true});
    BOOST_TEST(g[x].to_vector() == expected[u].to_vector(), boost::test_tools::per_element());
    BOOST_TEST(g[b].to_vector() == expected[c].to_vector(), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_consuming_pass_keeps_the_gradients_of_leaves_only) {
  Tape tape;
  const Var x = tape.variable({1, 2}), fixed = tape.constant({3, 4}), y = x * fixed, loss = sum(y);
  const Gradients g = tape.backward(loss, {.consume = true});
  BOOST_TEST(g[x].at({1}) == 4);
  BOOST_TEST(!g.contains(fixed));
  const auto gone = [](const char* shape) {
    return fmt::format(
        "gradients: backward(loss, {{.consume = true}}) keeps the gradients of variables and parameters "
        "only, not "
        "of this result of shape {}; leave out .consume",
        shape);
  };
  BOOST_TEST(error_of([&] { g[y]; }) == gone("[2]"));
  BOOST_TEST(error_of([&] { g.contains(y); }) == gone("[2]"));
  BOOST_TEST(error_of([&] { g[loss]; }) == gone("[]"));
  tape.reset();
  const Var leaf = tape.variable(2);
  BOOST_TEST(tape.backward(leaf, {.consume = true})[leaf].item() == 1);
}

BOOST_AUTO_TEST_CASE(a_consuming_pass_needs_memory_for_what_lives_at_once) {
  const auto bytes = [](bool consume, int depth) {
    Tape tape;
    const Var x = tape.variable(Tensor({1000}));
    Var y = x;
    for (int i = 0; i < depth; ++i) y = relu(y * 2);
    const Var loss = sum(y);
    const std::size_t before = tape.bytes();
    tape.backward(loss, {.consume = consume});
    return tape.bytes() - before;
  };
  BOOST_TEST(bytes(false, 50) > 100u * 4000);
  BOOST_TEST(bytes(true, 50) < 5u * 4000);
  BOOST_TEST(bytes(true, 100) < bytes(true, 50) + 2000);
}

BOOST_AUTO_TEST_CASE(blocks_of_many_sizes_serve_again_without_overlap) {
  for (const Index size : {1, 3, 4, 5, 15, 16, 17, 31, 33, 100, 255, 1000}) {
    Tape tape({.dtype = DType::f64});
    for (const bool consume : {false, true}) {
      poison(tape);
      const Var a = tape.variable(counting({size})), b = tape.variable(counting({size + 1}));
      Var y = a * 3, z = b * 5;
      for (int i = 0; i < 6; ++i) {
        y = y * 1 + sum(z);
        z = z * 1 + sum(y) * 0;
      }
      const Gradients g = tape.backward(sum(y) + sum(z), {.consume = consume});
      for (const double d : g[a].to_vector()) BOOST_TEST(d == 3);
      for (const double d : g[b].to_vector()) BOOST_TEST(d == 5 * (1 + 6.0 * static_cast<double>(size)));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
