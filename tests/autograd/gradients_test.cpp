#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/detach.h>
#include <tapegrad/autograd/ops/reduce.h>

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
             }) == "backward: the cotangent is f32 [3], but the loss is f32 [2]; they must agree");
  BOOST_TEST(error_of([&] {
               tape.backward(x * x, {.cotangent = Tensor::of({1, 2}, DType::f64)});
             }) == "backward: the cotangent is f64 [2], but the loss is f32 [2]; they must agree");
  BOOST_TEST(error_of([&] { tape.backward(constant); }) ==
             "backward: the loss depends on no variable and no trainable parameter");
  BOOST_TEST(error_of([&] { tape.backward(x, {.consume = true, .create_graph = true}); }) ==
             "backward: .consume and .create_graph exclude each other");
  BOOST_TEST(error_of([&] { tape.backward(Var()); }) ==
             "backward: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_CASE(gradients_of_leaves_can_outlive_the_recording) {
  ParameterStore params;
  const auto ramp = [](Tensor& values, RandomKey) {
    for (Index i = 0; i < values.size(); ++i) values.data<float>()[i] = static_cast<float>(i);
  };
  const Parameter p = params.root().parameter("p", {40}, ramp), q = params.root().parameter("q", {40}, ramp);
  Arena arena;
  Tape tape;
  const auto record = [&](double c) { return sum(tape[q] + tape[p] * tape[p] * c); };  // add passes on to q
  for (const bool consume : {false, true}) {
    arena.rewind(0);
    TensorView kept_p, kept_q;
    for (const double c : {1, 2}) {
      tape.reset();
      const Gradients g =
          tape.backward(record(c), {.consume = consume, .leaf_gradients = c == 1 ? &arena : nullptr});
      for (const Gradients::Entry& entry : g.parameters("test")) {
        const auto* at = static_cast<const std::byte*>(entry.gradient.bytes);
        BOOST_TEST((at >= arena.base() && at < arena.base() + arena.used()) == (c == 1));
        if (c == 1) (*entry.parameter == p ? kept_p : kept_q) = entry.gradient;
      }
      BOOST_TEST(g[p].at({7}) == 14 * c);
      BOOST_TEST(g[q].at({7}) == 1);
    }
    BOOST_TEST_REQUIRE((kept_p && kept_q));
    for (Index i = 0; i < 40; ++i) {
      BOOST_TEST(kept_q.data<float>()[i] == 1);
      BOOST_TEST(kept_p.data<float>()[i] == 2 * i);
    }
  }
  tape.reset();
  BOOST_TEST(error_of([&] { tape.backward(record(1), {.create_graph = true, .leaf_gradients = &arena}); }) ==
             "backward: .leaf_gradients and .create_graph exclude each other");
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
