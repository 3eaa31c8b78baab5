#include <tapegrad/autograd/ops/transpose.h>
#include <tests/support/expect.h>

#include <algorithm>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_transpose)

BOOST_AUTO_TEST_CASE(matrix) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3}));
  const Var y = transpose(x);
  check_values(y.value(), {3, 2}, {1, 4, 2, 5, 3, 6});
  const Gradients g = tape.backward(y, {.cotangent = counting({3, 2})});
  check_values(g[x], {2, 3}, {1, 3, 5, 2, 4, 6});
}

// Every order of four axes, element by element.
BOOST_AUTO_TEST_CASE(every_order) {
  const Shape shape{2, 3, 1, 5};
  const Tensor values = counting(shape, DType::f32);
  Tape tape;
  const Var x = tape.constant(values);
  std::vector<int> axes{0, 1, 2, 3};
  do {
    const Tensor y = permute(x, axes).value();
    const auto extent = [&](int i) { return shape[axes[static_cast<std::size_t>(i)]]; };
    BOOST_TEST_REQUIRE((y.shape() == Shape{extent(0), extent(1), extent(2), extent(3)}));
    bool same = true;
    for (Index i = 0; i < 30; ++i) {
      Index at[4] = {i / 15, i / 5 % 3, 0, i % 5};
      const auto moved = [&](int k) { return at[axes[static_cast<std::size_t>(k)]]; };
      same &= y.at({moved(0), moved(1), moved(2), moved(3)}) == static_cast<double>(i + 1);
    }
    BOOST_TEST(same, fmt::format("axes {}", fmt::join(axes, ", ")));
  } while (std::next_permutation(axes.begin(), axes.end()));
}

BOOST_AUTO_TEST_CASE(edges) {
  Tape tape({.dtype = DType::f64});
  check_values(permute(tape.variable(7), {}).value(), {}, {7});
  check_values(transpose(tape.variable(Tensor({2, 0}, DType::f64))).value(), {0, 2}, {});
  check_values(transpose(tape.variable(counting({2, 1, 3})), 0, 2).value(), {3, 1, 2}, {1, 4, 2, 5, 3, 6});
  const Var x = tape.variable(counting({2, 3}));
  const std::size_t before = tape.size();
  permute(x, {0, -1});
  transpose(x, 1, -1);
  BOOST_TEST(tape.size() == before);  // nothing moves, nothing is recorded
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  BOOST_CHECK_EXCEPTION(permute(x, {0}), Error,
                        says("permute: 1 axes given for shape [2, 3], which has 2; name every axis once"));
  BOOST_CHECK_EXCEPTION(permute(x, {1, -1}), Error,
                        says("permute: axis -1 is named twice; name every axis of shape [2, 3] once"));
  BOOST_CHECK_EXCEPTION(permute(x, {0, 2}), Error,
                        says("permute: axis 2 is out of range for shape [2, 3], which has 2 axes"));
  BOOST_CHECK_EXCEPTION(transpose(tape.variable({1, 2})), Error,
                        says("transpose: axis -2 is out of range for shape [2], which has 1 axes"));
}

BOOST_AUTO_TEST_SUITE_END()
