#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/detach.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_detach)

BOOST_AUTO_TEST_CASE(same_values_and_no_gradient) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, -2, 3});
  const Var y = detach(x);
  check_values(y.value(), {3}, {1, -2, 3});
  BOOST_TEST(!y.needs_grad());
  const Gradients g = tape.backward(x * y, {.cotangent = counting({3})});
  check_values(g[x], {3}, {1, -4, 9});  // dy ⊙ detach(x), half of what x ⊙ x would give
  BOOST_TEST(!g.contains(y));
}

BOOST_AUTO_TEST_CASE(no_gradient_of_second_order) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(3);
  const Gradients first = tape.backward(x * x * detach(x), {.create_graph = true});
  check_values(first[x], {}, {18});  // 2 x · c with c = 3
  check_values(tape.backward(first.var(x))[x], {}, {6});
}

BOOST_AUTO_TEST_CASE(a_loss_behind_detach_has_no_gradient) {
  Tape tape({.dtype = DType::f64});
  const Var loss = detach(tape.variable(3));
  BOOST_CHECK_EXCEPTION(tape.backward(loss), Error,
                        says("backward: the loss depends on no variable and no trainable parameter"));
  check_values(detach(tape.variable(Tensor({2, 0}, DType::f64))).value(), {2, 0}, {});
  BOOST_CHECK_EXCEPTION(detach({}), Error, says("detach: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_SUITE_END()
