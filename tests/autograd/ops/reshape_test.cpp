#include <tapegrad/autograd/ops/reshape.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_reshape)

BOOST_AUTO_TEST_CASE(row_major_order_stays) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(counting({2, 3}));
  const Var y = reshape(x, {3, -1});
  check_values(y.value(), {3, 2}, {1, 2, 3, 4, 5, 6});
  const Gradients g = tape.backward(y, {.cotangent = counting({3, 2})});
  check_values(g[x], {2, 3}, {1, 2, 3, 4, 5, 6});
  check_values(reshape(tape.variable(7), {1, 1}).value(), {1, 1}, {7});
  check_values(reshape(tape.variable(counting({1, 1})), {}).value(), {}, {1});
  check_values(reshape(tape.variable(Tensor({2, 0}, DType::f64)), {3, -1}).value(), {3, 0}, {});
}

BOOST_AUTO_TEST_CASE(the_same_shape_records_nothing) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  const std::size_t before = tape.size();
  reshape(x, {2, 3});
  reshape(x, {2, -1});
  BOOST_TEST(tape.size() == before);
}

BOOST_AUTO_TEST_CASE(flatten_squeeze_unsqueeze) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 1, 3, 4}));
  BOOST_TEST((flatten(x).shape() == Shape{24}));
  BOOST_TEST((flatten(x, 1).shape() == Shape{2, 12}));
  BOOST_TEST((flatten(x, 0, -2).shape() == Shape{6, 4}));
  BOOST_TEST((flatten(x, 1, 2).shape() == Shape{2, 3, 4}));
  BOOST_TEST((flatten(tape.full({}, 1)).shape() == Shape{1}));
  BOOST_TEST((squeeze(x, 1).shape() == Shape{2, 3, 4}));
  BOOST_TEST((squeeze(x, -3).shape() == Shape{2, 3, 4}));
  BOOST_TEST((unsqueeze(x, 0).shape() == Shape{1, 2, 1, 3, 4}));
  BOOST_TEST((unsqueeze(x, -1).shape() == Shape{2, 1, 3, 4, 1}));
  BOOST_TEST((unsqueeze(x, 2).shape() == Shape{2, 1, 1, 3, 4}));
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3})), none = tape.variable(Tensor({2, 0}));
  BOOST_CHECK_EXCEPTION(
      reshape(x, {4, 2}), Error,
      says("reshape: 6 elements of shape [2, 3] cannot be arranged as [4, 2]; one extent may be -1 "
           "to follow from the others"));
  BOOST_CHECK_EXCEPTION(reshape(x, {4, -1}), Error,
                        says("reshape: 6 elements of shape [2, 3] cannot be arranged as [4, -1]; the extents "
                             "besides -1 must divide their number"));
  BOOST_CHECK_EXCEPTION(reshape(none, {0, -1}), Error,
                        says("reshape: 0 elements of shape [2, 0] cannot be arranged as [0, -1]; the extents "
                             "besides -1 must divide their number"));
  BOOST_CHECK_EXCEPTION(
      reshape(x, {-1, -1}), Error,
      says("reshape: 6 elements of shape [2, 3] cannot be arranged as [-1, -1]; only one extent may be -1"));
  BOOST_CHECK_EXCEPTION(
      reshape(x, {-2, -3}), Error,
      says("reshape: 6 elements of shape [2, 3] cannot be arranged as [-2, -3]; an extent is negative"));
  BOOST_CHECK_EXCEPTION(
      squeeze(x, -1), Error,
      says("squeeze: axis -1 of shape [2, 3] has extent 3, only an axis of extent 1 can be dropped"));
  BOOST_CHECK_EXCEPTION(squeeze(x, 2), Error,
                        says("squeeze: axis 2 is out of range for shape [2, 3], which has 2 axes"));
  BOOST_CHECK_EXCEPTION(unsqueeze(x, 3), Error,
                        says("unsqueeze: axis 3 is out of range for shape [2, 3], -3 to 2 are possible"));
  BOOST_CHECK_EXCEPTION(flatten(x, 1, 0), Error, says("flatten: axis 1 comes after axis 0 in shape [2, 3]"));
  BOOST_CHECK_EXCEPTION(reshape({}, {1}), Error,
                        says("reshape: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_CASE(huge_extents_are_refused) {
  Tape tape;
  const Var x = tape.variable(Tensor({2, 3}));
  const Index huge = Index{1} << 62;
  BOOST_CHECK_EXCEPTION(reshape(x, {huge, 4, -1}), Error,
                        says("reshape: 6 elements of shape [2, 3] cannot be arranged as "
                             "[4611686018427387904, 4, -1]; their product is "
                             "too large"));
  BOOST_CHECK_EXCEPTION(reshape(x, {huge, 1}), Error,
                        says("shape: [4611686018427387904, 1] has more elements than any memory can hold"));
}

BOOST_AUTO_TEST_SUITE_END()
