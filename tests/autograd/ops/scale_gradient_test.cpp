#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/autograd/ops/scale_gradient.h>
#include <tests/support/expect.h>

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(ops_scale_gradient)

BOOST_AUTO_TEST_CASE(same_values_and_a_scaled_gradient) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, -2, 3}), y = scale_gradient(x, 0.5);
  check_values(y.value(), {3}, {1, -2, 3});
  check_values(tape.backward(y, {.cotangent = counting({3})})[x], {3}, {0.5, 1, 1.5});
  check_values(tape.backward(x + y, {.cotangent = counting({3})})[x], {3}, {1.5, 3, 4.5});  // both ways
}

BOOST_AUTO_TEST_CASE(a_flipped_gradient_climbs) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, -2, 3}), y = flip_gradient(x);
  check_values(y.value(), {3}, {1, -2, 3});
  check_values(tape.backward(y, {.cotangent = counting({3})})[x], {3}, {-1, -2, -3});
  check_values(tape.backward(flip_gradient(y), {.cotangent = counting({3})})[x], {3}, {1, 2, 3});
}

BOOST_AUTO_TEST_CASE(a_factor_of_0_leaves_a_gradient_of_0) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), y = scale_gradient(x, 0);
  BOOST_TEST(y.needs_grad());
  check_values(tape.backward(y, {.cotangent = counting({2})})[x], {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(every_pass_through_it_scales) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2, 3}), y = scale_gradient(x, 0.5);
  const Gradients first = tape.backward(sum(y * y * y), {.create_graph = true});
  check_values(first[x], {3}, {1.5, 6, 13.5});                            // 0.5 * 3 x^2
  check_values(tape.backward(sum(first.var(x)))[x], {3}, {1.5, 3, 4.5});  // 0.5 * 0.5 * 6 x
}

BOOST_AUTO_TEST_CASE(differences_see_through_it) {
  const auto one = [](Tensor& values, RandomKey) { values.fill(1); };
  ParameterStore params(1, DType::f64);
  const Parameter w = params.root().parameter("w", {2}, one);
  const auto f = [&](const std::vector<Var>& in) {
    const Var y = scale_gradient(in[0].tape()[w], 0.5);
    return sum(y * y * y * in[0]);
  };
  const std::vector<Tensor> inputs = {Tensor::of({1, 2}, DType::f64)};
  BOOST_TEST(!gradcheck(f, inputs, params).ok);
  BOOST_TEST(gradcheck(f, inputs).ok);
  const GradcheckResult second = gradgradcheck(f, inputs, params, {.label = "second"});
  BOOST_TEST(!second.ok);
  BOOST_TEST(second.message.find("second: parameter 'w', element [") == 0, second.message);
}

BOOST_AUTO_TEST_CASE(attributes_and_errors) {
  Tape tape;
  const Var y = flip_gradient(tape.variable({1}));
  Attributes attributes;
  tape.node(y.id().node).op->attributes(attributes);
  BOOST_REQUIRE(attributes.size() == 1);
  BOOST_TEST(attributes[0].first == "factor");
  BOOST_TEST(std::get<double>(attributes[0].second) == -1);
  BOOST_CHECK_EXCEPTION(flip_gradient({}), Error,
                        says("scale_gradient: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_SUITE_END()
