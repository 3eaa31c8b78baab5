#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/adagrad.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/rmsprop.h>
#include <tapegrad/optim/sgd.h>

#include <tests/optim/model.h>
#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <limits>
#include <memory>

namespace tapegrad {
using namespace optim;
namespace {

using test::check_values;
using test::error_of;

constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();

using test::Model;

const TapeOptions in_f64{.dtype = DType::f64};

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(groups_by_path_pattern_and_the_last_counts) {
  const Model model;
  SGD sgd({.learning_rate = 0.5, .weight_decay = 0.25});
  sgd.group("decoder.*", {.learning_rate_factor = 0.5, .weight_decay = 0});
  sgd.group("*.bias", {.learning_rate_factor = 0});
  Tape tape(in_f64);
  sgd.step(model.ones(tape));
  check_values(model.encoder.value(), {2}, {0.375, 0.375});  // 1 - 0.5 (1 + 0.25)
  check_values(model.decoder.value(), {2}, {0.75, 0.75});    // 1 - 0.25
  check_values(model.bias.value(), {2}, {1, 1});
  sgd.group("encoder.*", {.learning_rate_factor = 0});  // also for parameters that were stepped before
  tape.reset();
  sgd.step(model.ones(tape));
  check_values(model.encoder.value(), {2}, {0.375, 0.375});
  check_values(model.decoder.value(), {2}, {0.5, 0.5});
}

BOOST_AUTO_TEST_CASE(a_group_has_its_own_decay_in_adamw_too) {
  const Model model;
  AdamW adam({.learning_rate = 0.5, .weight_decay = 0.5});
  adam.group("*.bias", {.weight_decay = 0});
  Tape tape(in_f64);
  adam.step(model.ones(tape));
  BOOST_TEST(model.encoder.value().at({0}) == 0.75 - 0.5, boost::test_tools::tolerance(1e-7));
  BOOST_TEST(model.bias.value().at({0}) == 1 - 0.5, boost::test_tools::tolerance(1e-7));
}

BOOST_AUTO_TEST_CASE(unreached_and_frozen_parameters_are_skipped) {
  Model model;
  AdamW adam({.learning_rate = 0.1, .weight_decay = 0.1});
  Tape tape(in_f64);
  adam.step(model.ones(tape, {model.encoder}));
  check_values(model.decoder.value(), {2}, {1, 1});  // not even decayed
  BOOST_TEST(model.decoder.version() == 0u);
  BOOST_TEST(adam.state().size() == 3u);
  model.store.freeze("encoder.*");
  tape.reset();
  const Tensor before = model.encoder.value().clone();
  adam.step(model.ones(tape));
  BOOST_TEST(identical(model.encoder.value(), before));
  BOOST_TEST(adam.state().at("encoder.weight.step").item() == 1);
  model.store.unfreeze("encoder.*");
  tape.reset();
  const Gradients g = model.ones(tape);
  model.store.freeze("decoder.bias");  // after the backward pass
  const Tensor bias = model.bias.value().clone();
  adam.step(g);
  BOOST_TEST(identical(model.bias.value(), bias));
  BOOST_TEST(adam.state().at("encoder.weight.step").item() == 2);
}

BOOST_AUTO_TEST_CASE(learning_rates_are_checked) {
  SGD sgd({.learning_rate = 0.5});
  BOOST_TEST(sgd.learning_rate() == 0.5);
  for (const auto& [rate, shown] : {std::pair{-1.0, "-1"}, std::pair{inf, "inf"}, std::pair{nan, "nan"}}) {
    const std::string expected =
        fmt::format("optimizer: learning rate {} is not a finite number >= 0", shown);
    BOOST_TEST(error_of([&] { sgd.set_learning_rate(rate); }) == expected);
    BOOST_TEST(error_of([&] { SGD({.learning_rate = rate}); }) == expected);
    BOOST_TEST(error_of([&] { AdamW({.learning_rate = rate}); }) == expected);
  }
  BOOST_TEST(sgd.learning_rate() == 0.5);
  sgd.set_learning_rate(0);
  const Model model;
  Tape tape(in_f64);
  sgd.step(model.ones(tape));
  check_values(model.encoder.value(), {2}, {1, 1});
}

BOOST_AUTO_TEST_CASE(options_are_checked) {
  BOOST_TEST(error_of([] { SGD({.momentum = -0.5}); }) ==
             "SGD: momentum -0.5 and weight_decay 0 must not be negative");
  BOOST_TEST(error_of([] { SGD({.nesterov = true}); }) ==
             "SGD: nesterov needs momentum > 0 and dampening 0, got 0 and 0");
  BOOST_TEST(error_of([] { SGD({.momentum = 0.5, .dampening = 0.5, .nesterov = true}); }) ==
             "SGD: nesterov needs momentum > 0 and dampening 0, got 0.5 and 0.5");
  BOOST_TEST(error_of([] { Adam({.beta1 = 1}); }) == "Adam: betas 1 and 0.999 are not in [0, 1)");
  BOOST_TEST(error_of([] { Adam({.beta2 = nan}); }) == "Adam: betas 0.9 and nan are not in [0, 1)");
  BOOST_TEST(error_of([] { AdamW({.weight_decay = -1}); }) ==
             "Adam: eps 1e-08 and weight_decay -1 must not be negative");
  BOOST_TEST(error_of([] { RMSprop({.alpha = 1}); }) == "RMSprop: alpha 1 is not in [0, 1)");
  BOOST_TEST(error_of([] { RMSprop({.alpha = nan}); }) == "RMSprop: alpha nan is not in [0, 1)");
  BOOST_TEST(error_of([] { RMSprop({.eps = -1}); }) ==
             "RMSprop: eps -1, weight_decay 0 and momentum 0 must not be negative");
  BOOST_TEST(error_of([] { RMSprop({.weight_decay = -0.5, .momentum = 0.5}); }) ==
             "RMSprop: eps 1e-08, weight_decay -0.5 and momentum 0.5 must not be negative");
  BOOST_TEST(error_of([] { RMSprop({.momentum = -0.5}); }) ==
             "RMSprop: eps 1e-08, weight_decay 0 and momentum -0.5 must not be negative");
  BOOST_TEST(error_of([] { Adagrad({.lr_decay = -1}); }) ==
             "Adagrad: lr_decay -1 and weight_decay 0 must not be negative");
  BOOST_TEST(error_of([] { Adagrad({.weight_decay = nan}); }) ==
             "Adagrad: lr_decay 0 and weight_decay nan must not be negative");
  BOOST_TEST(error_of([] { Adagrad({.initial_accumulator_value = -1}); }) ==
             "Adagrad: initial_accumulator_value -1 and eps 1e-10 must not be negative");
  BOOST_TEST(error_of([] { Adagrad({.eps = -1}); }) ==
             "Adagrad: initial_accumulator_value 0 and eps -1 must not be negative");
  Adam adam;
  BOOST_TEST(error_of([&] { adam.group("*.bias", {.learning_rate_factor = -1}); }) ==
             "optimizer: group '*.bias' has learning_rate_factor -1 and weight_decay 0; both must be finite "
             "and >= 0");
  BOOST_TEST(
      error_of([&] { adam.group("*", {.weight_decay = inf}); }) ==
      "optimizer: group '*' has learning_rate_factor 1 and weight_decay inf; both must be finite and >= 0");
}

// There the squared mean reaches the mean square, and rounding takes their difference below 0.
BOOST_AUTO_TEST_CASE(a_constant_gradient_under_centered_rmsprop_gives_no_nan) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Model model(dtype);
    RMSprop rmsprop({.alpha = 0.9, .centered = true});
    Tape tape({.dtype = dtype});
    for (int step = 0; step < 300; ++step) {
      tape.reset();
      rmsprop.step(tape.backward(sum(tape[model.encoder] * tape.constant({0.9, 1.5}))));
      for (const double value : model.encoder.value().to_vector()) BOOST_REQUIRE(std::isfinite(value));
    }
  }
}

BOOST_AUTO_TEST_CASE(stale_gradients_are_refused) {
  const Model model;
  Adam adam;
  Tape tape(in_f64);
  const Gradients g = model.ones(tape);
  tape.reset();
  const std::string stale =
      "stale Gradients, their tape was reset (or a later step began) after the backward pass";
  BOOST_TEST(error_of([&] { adam.step(g); }) == "optimizer.step: " + stale);
  BOOST_TEST(error_of([&] { clip_grad_norm(g, 1); }) == "grad_norm: " + stale);
  BOOST_TEST(error_of([&] { grad_norm(g); }) == "grad_norm: " + stale);
  BOOST_TEST(error_of([&] { adam.step(Gradients()); }) ==
             "optimizer.step: empty Gradients; they come from backward()");
  auto own = std::make_unique<Tape>(in_f64);
  const Gradients orphan = model.ones(*own);
  own.reset();
  BOOST_TEST(error_of([&] { adam.step(orphan); }) == "optimizer.step: stale Gradients, their tape is gone");
  check_values(model.encoder.value(), {2}, {1, 1});
  BOOST_TEST(adam.state().empty());
}

BOOST_AUTO_TEST_CASE(a_step_of_parameters_in_another_dtype_than_the_tape) {
  const Model model(DType::f32);
  Tape tape(in_f64);
  SGD sgd({.learning_rate = 0.5});
  sgd.step(model.ones(tape));
  check_values(model.encoder.value(), {2}, {0.5, 0.5});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
