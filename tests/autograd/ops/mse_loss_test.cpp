// mse_loss by hand, its errors, and its bits beside those of the ops that define it.
#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {

using test::check_values;
using test::error_of;

BOOST_AUTO_TEST_SUITE(mean_squared_error)

BOOST_AUTO_TEST_CASE(by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var prediction = tape.variable({{1, 2}, {3, 4}}), target = tape.variable({{1, 0}, {0, 8}});
  const Var loss = mse_loss(prediction, target);  // (0 + 4 + 9 + 16) / 4
  BOOST_TEST(loss.item() == 7.25);
  const Gradients g = tape.backward(loss);
  check_values(g[prediction], {2, 2}, {0, 1, 1.5, -2});
  check_values(g[target], {2, 2}, {0, -1, -1.5, 2});
}

BOOST_AUTO_TEST_CASE(a_tensor_as_target_gets_no_gradient) {
  Tape tape;
  const Var prediction = tape.variable({1, 2});
  const Var loss = mse_loss(prediction, Tensor::of({3, 2}));
  BOOST_TEST(loss.item() == 2);
  check_values(tape.backward(loss)[prediction], {2}, {-2, 0});
  BOOST_TEST(mse_loss(prediction, Tensor::ids({3, 2})).item() == 2);
}

BOOST_AUTO_TEST_CASE(nothing_has_no_mean) {
  Tape tape;
  const Var none = tape.variable(Tensor({0, 2}));
  BOOST_TEST(std::isnan(mse_loss(none, none).item()));
}

BOOST_AUTO_TEST_CASE(unequal_shapes_are_refused) {
  Tape tape;
  const Var column = tape.variable({{1}, {2}}), row = tape.variable({1, 2}), more = tape.variable({1, 2, 3});
  BOOST_TEST(error_of([&] { mse_loss(column, row); }) ==
             "mse_loss: prediction [2, 1] and target [2] differ in shape; reshape one of them");
  BOOST_TEST(error_of([&] { mse_loss(column, more); }) ==
             "mse_loss: prediction [2, 1] and target [3] differ in shape; they are not broadcast, see "
             "broadcast_to");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
