#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/ema.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>

namespace tapegrad {
using namespace optim;
namespace {

using test::check_values;
using test::error_of;

void zeros(Tensor& values, RandomKey) { values.fill(0); }

}  // namespace

BOOST_AUTO_TEST_SUITE(ema)

BOOST_AUTO_TEST_CASE(early_steps_do_not_weigh_for_ever) {
  ParameterStore params(1, DType::f64);
  const Parameter p = params.root().parameter("p", {2}, zeros);
  Ema ema(params, 0.25);
  const Parameter average = ema.average().at("p");
  p.assign(Tensor::of({10, 20}, DType::f64));
  ema.update();  // d = 1 / 10
  BOOST_TEST(average.value().at({0}) == 9, boost::test_tools::tolerance(1e-14));
  ema.update();  // d = 2 / 11
  BOOST_TEST(average.value().at({0}) == 9 * 2.0 / 11 + 10 * 9.0 / 11, boost::test_tools::tolerance(1e-14));
  const double before = average.value().at({1});
  ema.update();  // 3 / 12 is the decay itself
  ema.update();  // and more than it is not taken
  BOOST_TEST(average.value().at({1}) == 0.0625 * before + 0.9375 * 20, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(ema.updates() == 4);
  Ema late(params, 0.25);
  late.set_updates(100);
  p.assign(Tensor::of({0, 0}, DType::f64));
  late.update();
  BOOST_TEST(late.average().at("p").value().at({1}) == 5);
}

BOOST_AUTO_TEST_CASE(swap_there_and_back) {
  ParameterStore params;
  const Parameter p = params.root().parameter("p", {2}, zeros),
                  count = params.root().buffer("count", {}, zeros);
  Ema ema(params, 0.5);
  BOOST_TEST(ema.average().at("count").is_buffer());
  p.assign(Tensor::of({1, 2}));
  Tape tape;
  const Var x = tape[p];
  ema.swap();
  check_values(p.value(), {2}, {0, 0});
  check_values(ema.average().at("p").value(), {2}, {1, 2});
  BOOST_TEST(error_of([&] { x.value(); }) != "no error");  // the recording is out of date
  BOOST_TEST(error_of([&] { ema.update(); }) ==
             "Ema: update() while the average is swapped in; call swap() again first");
  ema.swap();
  check_values(p.value(), {2}, {1, 2});
  ema.update();
  BOOST_TEST(ema.updates() == 1);
}

BOOST_AUTO_TEST_CASE(mistakes) {
  ParameterStore params;
  const Parameter p = params.root().parameter("p", {2}, zeros);
  for (const double decay : {-0.5, 1.0})
    BOOST_TEST(error_of([&] { Ema(params, decay); }) == fmt::format("Ema: decay {} is not in [0, 1)", decay));
  Ema ema(params, 0.5);
  params.root().parameter("q", {2}, zeros);
  BOOST_TEST(error_of([&] { ema.update(); }) ==
             "Ema: made for 1 parameters, but the store has 2 now; make it after the model");
  BOOST_TEST(error_of([&] { ema.swap(); }) == "swap: a store of 2 parameters with one of 1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
