#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/slice.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_slice)

BOOST_AUTO_TEST_CASE(slices_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({3, 4}));
  check_values(slice(x, 0, 1, 2).value(), {2, 4}, {5, 6, 7, 8, 9, 10, 11, 12});
  const Var y = slice(x, -1, 1, 2);
  check_values(y.value(), {3, 2}, {2, 3, 6, 7, 10, 11});
  const Gradients g = tape.backward(y, {.cotangent = counting({3, 2})});
  check_values(g[x], {3, 4}, {0, 1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0});
  check_values(slice(x, 1, 4, 0).value(), {3, 0}, {});
}

BOOST_AUTO_TEST_CASE(gradients_of_overlapping_slices_add_up) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({3}));
  const Gradients g = tape.backward(slice(x, 0, 0, 2) + slice(x, 0, 1, 2), {.cotangent = counting({2})});
  check_values(g[x], {3}, {1, 3, 2});
}

BOOST_AUTO_TEST_CASE(select_drops_the_axis) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3}));
  const Var column = select(x, 1, -1);
  check_values(column.value(), {2}, {3, 6});
  check_values(select(x, 0, 0).value(), {3}, {1, 2, 3});
  check_values(select(column, 0, 1).value(), {}, {6});
  const Gradients g = tape.backward(column, {.cotangent = counting({2})});
  check_values(g[x], {2, 3}, {0, 0, 1, 0, 0, 2});
}

BOOST_AUTO_TEST_CASE(pad_and_flip) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 2}));
  const Var padded = pad(x, 1, 1, 2), flipped = flip(x, 0);
  check_values(padded.value(), {2, 5}, {0, 1, 2, 0, 0, 0, 3, 4, 0, 0});
  check_values(tape.backward(padded, {.cotangent = counting({2, 5})})[x], {2, 2}, {2, 3, 7, 8});
  check_values(flipped.value(), {2, 2}, {3, 4, 1, 2});
  check_values(tape.backward(flipped, {.cotangent = counting({2, 2})})[x], {2, 2}, {3, 4, 1, 2});
  check_values(flip(x, -1).value(), {2, 2}, {2, 1, 4, 3});
  check_values(pad(tape.variable(Tensor({2, 0}, DType::f64)), 1, 1, 0).value(), {2, 1}, {0, 0});
}

BOOST_AUTO_TEST_CASE(the_whole_records_nothing) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  const std::size_t before = tape.size();
  slice(x, 1, 0, 3);
  pad(x, 1, 0, 0);
  BOOST_TEST(tape.size() == before);
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  const auto out_of_range = [](Index begin, Index length) {
    return says(fmt::format(
        "slice: begin {} and length {} are out of range for axis -1 of shape [2, 3], which has extent 3",
        begin, length));
  };
  BOOST_CHECK_EXCEPTION(slice(x, -1, 2, 2), Error, out_of_range(2, 2));
  BOOST_CHECK_EXCEPTION(slice(x, -1, -1, 2), Error, out_of_range(-1, 2));
  BOOST_CHECK_EXCEPTION(slice(x, -1, 0, -1), Error, out_of_range(0, -1));
  BOOST_CHECK_EXCEPTION(slice(x, -1, 1, INT64_MAX), Error, out_of_range(1, INT64_MAX));
  BOOST_CHECK_EXCEPTION(slice(x, 2, 0, 1), Error,
                        says("slice: axis 2 is out of range for shape [2, 3], which has 2 axes"));
  BOOST_CHECK_EXCEPTION(slice(tape.full({}, 1), 0, 0, 1), Error,
                        says("slice: axis 0 is out of range for shape [], which has 0 axes"));
  BOOST_CHECK_EXCEPTION(
      select(x, 1, 3), Error,
      says("select: index 3 is out of range for axis 1 of shape [2, 3], which has extent 3"));
  BOOST_CHECK_EXCEPTION(
      select(x, 0, -3), Error,
      says("select: index -3 is out of range for axis 0 of shape [2, 3], which has extent 2"));
  BOOST_CHECK_EXCEPTION(pad(x, 0, -1, 2), Error,
                        says("pad: -1 before and 2 after, neither may be negative; use slice to cut"));
  BOOST_CHECK_EXCEPTION(flip(x, 2), Error,
                        says("flip: axis 2 is out of range for shape [2, 3], which has 2 axes"));
}

BOOST_AUTO_TEST_CASE(huge_pads_are_refused) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  BOOST_CHECK_EXCEPTION(
      pad(x, 0, INT64_MAX, INT64_MAX), Error,
      says(
          "pad: 9223372036854775807 before and 9223372036854775807 after are more than any memory can hold"));
  BOOST_CHECK_EXCEPTION(pad(x, 0, INT64_MAX - 2, 0), Error,
                        says("shape: [9223372036854775807, 3] has more elements than any memory can hold"));
}

BOOST_AUTO_TEST_SUITE_END()
