#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/detach.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {

using test::error_of;

BOOST_AUTO_TEST_SUITE(gradients)

BOOST_AUTO_TEST_CASE(diamonds_and_fan_out_add_up) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(3);
  const Var a = x + x, b = a + a, c = b * a;  // 8 x^2
  const Gradients g = tape.backward(c);
  BOOST_TEST(g[x].item() == 48);
  BOOST_TEST(g[a].item() == 24);  // through b = 2 a too
  BOOST_TEST(g[b].item() == 6);
  BOOST_TEST(g[c].item() == 1);
  for (int fan = 1; fan <= 64; ++fan) {
    tape.reset();
    const Var y = tape.variable(2);
    Var sum = y * 1;
    for (int i = 1; i < fan; ++i) sum = sum + y * y;
    BOOST_TEST(tape.backward(sum)[y].item() == 1 + 4 * (fan - 1));
  }
}

BOOST_AUTO_TEST_CASE(passes_do_not_mix) {
  Tape tape;
  const Var x = tape.variable(2), y = tape.variable(5), p = x * y, q = x + y;
  const Gradients a = tape.backward(p), b = tape.backward(q), c = tape.backward(p);
  BOOST_TEST(a[x].item() == 5);
  BOOST_TEST(b[x].item() == 1);
  BOOST_TEST(c[x].item() == 5);
  BOOST_TEST(a[y].item() == 2);
  BOOST_TEST(!b.contains(p));
  BOOST_TEST(!a.contains(q));
}

BOOST_AUTO_TEST_CASE(what_the_loss_does_not_depend_on_is_named) {
  Tape tape;
  const Var x = tape.variable({1, 2}), unused = tape.variable({3, 4}), fixed = tape.constant({5, 6});
  const Var y = x * fixed + detach(unused), later = x + 1;
  const Gradients g = tape.backward(y, {.cotangent = Tensor::of({1, 1})});
  const std::string text =
      "gradients: the loss does not depend on this value of shape [2], or it needs no gradient (a constant)";
  BOOST_TEST(error_of([&] { g[unused]; }) == text);
  BOOST_TEST(error_of([&] { g[fixed]; }) == text);
  BOOST_TEST(error_of([&] { g[later]; }) == text);
  BOOST_TEST(error_of([&] { g.var(x); }) == "gradients: var() needs backward(loss, {.create_graph = true})");
  BOOST_TEST(g[x].at({1}) == 6);
}

BOOST_AUTO_TEST_CASE(losses_that_cannot_be_walked_back_are_named) {
  Tape tape;
  const Var x = tape.variable({1, 2}), constant = tape.constant(2) * 3;
  BOOST_TEST(
      error_of([&] { tape.backward(x * x); }) ==
      "backward: the loss must have one element, got shape [2]; reduce it with sum() or give a cotangent");
  BOOST_TEST(error_of([&] {
               tape.backward(x * x, {.cotangent = Tensor::of({1, 2, 3})});
             }) == "backward: the cotangent is f32 [3], the loss f32 [2]");
  BOOST_TEST(error_of([&] {
               tape.backward(x * x, {.cotangent = Tensor::of({1, 2}, DType::f64)});
             }) == "backward: the cotangent is f64 [2], the loss f32 [2]");
  BOOST_TEST(error_of([&] { tape.backward(constant); }) ==
             "backward: the loss depends on no variable and no trainable parameter");
  BOOST_TEST(error_of([&] { tape.backward(x, {.consume = true, .create_graph = true}); }) ==
             "backward: .consume and .create_graph exclude each other");
  BOOST_TEST(error_of([&] { tape.backward(Var()); }) ==
             "backward: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_CASE(gradients_are_differentiated_again) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(2);
  const Var y = x * x * x;
  const Gradients first = tape.backward(y, {.create_graph = true});
  BOOST_TEST(first.var(x).item() == 12);
  BOOST_TEST(first[x].item() == 12);
  const Gradients second = tape.backward(first.var(x), {.create_graph = true});
  BOOST_TEST(second.var(x).item() == 12);
  const Gradients third = tape.backward(second.var(x));
  BOOST_TEST(third[x].item() == 6);
  // a gradient penalty: d/dx (x^3 + (3 x^2)^2)
  const Var penalised = y + first.var(x) * first.var(x);
  BOOST_TEST(tape.backward(penalised)[x].item() == 12 + 36 * 8);
}

BOOST_AUTO_TEST_CASE(gradients_cannot_be_written_through_a_tensor) {
  Tape tape;
  const Var x = tape.variable({1, 2});
  Tensor dx = tape.backward(x * x, {.cotangent = Tensor::of({1, 1})})[x];
  BOOST_TEST(error_of([&] { dx.fill(0); }) ==
             "tensor: recorded values are read-only; write to a clone() of this [2] tensor");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
