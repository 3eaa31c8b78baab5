#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/sgd.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <limits>
#include <memory>

namespace tapegrad {
namespace {

using test::check_values;
using test::error_of;

constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();

/// Three parameters of two values each, all 1.
struct Model {
  explicit Model(DType dtype = DType::f64) : store(1, dtype) {
    const auto ones = [](Tensor& values, RandomKey) { values.fill(1); };
    encoder = store.root().parameter("encoder.weight", {2}, ones);
    decoder = store.root().parameter("decoder.weight", {2}, ones);
    bias = store.root().parameter("decoder.bias", {2}, ones);
  }
  /// Gradient 1 for each of `reached`.
  Gradients ones(Tape& tape, std::initializer_list<Parameter> reached) const {
    Var loss = tape.full({}, 0);
    for (const Parameter& p : reached) loss = loss + sum(tape[p]);
    return tape.backward(loss);
  }
  Gradients ones(Tape& tape) const { return ones(tape, {encoder, decoder, bias}); }
  /// Gradients that differ from element to element and from step to step.
  void train(Optimizer& optimizer, int from, int to) const {
    Tape tape({.dtype = store.dtype()});
    for (int t = from; t < to; ++t) {
      tape.reset();
      Var loss = tape.full({}, 0);
      for (const Parameter& p : store)
        loss = loss + sum(cos(tape[p] * (1.0 + t) + tape.constant({0.1, 0.7})));
      optimizer.step(tape.backward(loss));
    }
  }
  void check_same(const Model& other) const {
    for (const Parameter& p : store)
      BOOST_TEST(identical(p.value(), other.store.at(p.path()).value()), p.path());
  }

  ParameterStore store;
  Parameter encoder, decoder, bias;
};

const TapeOptions in_f64{.dtype = DType::f64};

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(groups_by_path_pattern_and_the_last_counts) {
  const Model model;
  Sgd sgd({.learning_rate = 0.5, .weight_decay = 0.25});
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
  Sgd sgd({.learning_rate = 0.5});
  BOOST_TEST(sgd.learning_rate() == 0.5);
  for (const auto& [rate, shown] : {std::pair{-1.0, "-1"}, std::pair{inf, "inf"}, std::pair{nan, "nan"}}) {
    const std::string expected =
        fmt::format("optimizer: learning rate {} is not a finite number >= 0", shown);
    BOOST_TEST(error_of([&] { sgd.set_learning_rate(rate); }) == expected);
    BOOST_TEST(error_of([&] { Sgd({.learning_rate = rate}); }) == expected);
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
  BOOST_TEST(error_of([] { Sgd({.momentum = -0.5}); }) ==
             "Sgd: momentum -0.5 and weight_decay 0 must not be negative");
  BOOST_TEST(error_of([] { Sgd({.nesterov = true}); }) ==
             "Sgd: nesterov needs momentum > 0 and dampening 0, got 0 and 0");
  BOOST_TEST(error_of([] { Sgd({.momentum = 0.5, .dampening = 0.5, .nesterov = true}); }) ==
             "Sgd: nesterov needs momentum > 0 and dampening 0, got 0.5 and 0.5");
  BOOST_TEST(error_of([] { Adam({.beta1 = 1}); }) == "Adam: betas 1 and 0.999 are not in [0, 1)");
  BOOST_TEST(error_of([] { Adam({.beta2 = nan}); }) == "Adam: betas 0.9 and nan are not in [0, 1)");
  BOOST_TEST(error_of([] { AdamW({.weight_decay = -1}); }) ==
             "Adam: eps 1e-08 and weight_decay -1 must not be negative");
  Adam adam;
  BOOST_TEST(error_of([&] { adam.group("*.bias", {.learning_rate_factor = -1}); }) ==
             "optimizer: group '*.bias' has learning_rate_factor -1 and weight_decay 0; both must be finite "
             "and >= 0");
  BOOST_TEST(
      error_of([&] { adam.group("*", {.weight_decay = inf}); }) ==
      "optimizer: group '*' has learning_rate_factor 1 and weight_decay inf; both must be finite and >= 0");
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

BOOST_AUTO_TEST_CASE(clipping) {
  const Model model;
  Tape tape(in_f64);
  const Gradients g = model.ones(tape);
  BOOST_TEST(grad_norm(g) == std::sqrt(6.0), boost::test_tools::tolerance(1e-15));
  for (const double most : {0.0, -1.0, nan})
    BOOST_TEST(error_of([&] { clip_grad_norm(g, most); }) ==
               fmt::format("clip_grad_norm: max_norm must be positive, got {}", most));
  check_values(g[model.encoder], {2}, {1, 1});
  BOOST_TEST(clip_grad_norm(g, inf) == grad_norm(g));
  check_values(g[model.encoder], {2}, {1, 1});
  BOOST_TEST(clip_grad_norm(g, 0.5) == std::sqrt(6.0), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(grad_norm(g) == 0.5, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(a_step_of_parameters_in_another_dtype_than_the_tape) {
  const Model model(DType::f32);
  Tape tape(in_f64);
  Sgd sgd({.learning_rate = 0.5});
  sgd.step(model.ones(tape));
  check_values(model.encoder.value(), {2}, {0.5, 0.5});
}

BOOST_AUTO_TEST_CASE(state_continues_with_the_same_bits) {
  using Make = std::unique_ptr<Optimizer> (*)();
  const Make makes[] = {
      [] { return std::unique_ptr<Optimizer>(new Sgd({.learning_rate = 0.1})); },
      [] {
        return std::unique_ptr<Optimizer>(new Sgd({.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.5}));
      },
      [] { return std::unique_ptr<Optimizer>(new Adam({.learning_rate = 0.1})); },
      [] { return std::unique_ptr<Optimizer>(new AdamW({.learning_rate = 0.1})); },
  };
  for (const Make make : makes)
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Model straight(dtype), resumed(dtype);
      const auto whole = make(), first = make(), second = make();
      straight.train(*whole, 0, 20);
      resumed.train(*first, 0, 7);
      const auto saved = first->state();
      resumed.train(*first, 7, 9);  // the saved state is a copy
      const Model again(dtype);
      const auto replay = make();
      again.train(*replay, 0, 7);
      resumed.train(*second, 0, 3);  // forgotten by load_state
      for (const Parameter& p : resumed.store) p.assign(again.store.at(p.path()).value());
      second->load_state(resumed.store, saved);
      resumed.train(*second, 7, 20);
      straight.check_same(resumed);
    }
}

BOOST_AUTO_TEST_CASE(state_has_the_names_of_pytorch) {
  const Model model;
  Adam adam;
  model.train(adam, 0, 3);
  std::vector<std::string> names;
  for (const auto& [name, value] : adam.state()) names.push_back(name);
  const std::vector<std::string> expected = {
      "decoder.bias.exp_avg",   "decoder.bias.exp_avg_sq",   "decoder.bias.step",
      "decoder.weight.exp_avg", "decoder.weight.exp_avg_sq", "decoder.weight.step",
      "encoder.weight.exp_avg", "encoder.weight.exp_avg_sq", "encoder.weight.step"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  Sgd sgd({.momentum = 0.9});
  model.train(sgd, 0, 1);
  BOOST_TEST(sgd.state().contains("encoder.weight.momentum_buffer"));
}

BOOST_AUTO_TEST_CASE(a_state_that_does_not_fit_changes_nothing) {
  const Model model;
  Adam adam;
  model.train(adam, 0, 3);
  const auto good = adam.state();
  const auto refused = [&](const std::string& name, const Tensor& value) {
    auto state = good;
    state[name] = value;
    if (!value) state.erase(name);
    const std::string text = error_of([&] { adam.load_state(model.store, state); });
    const auto after = adam.state();
    BOOST_TEST(after.size() == good.size());
    for (const auto& [key, kept] : good) BOOST_TEST(identical(after.at(key), kept), key);
    return text;
  };
  const Tensor pair = Tensor::zeros({2}, DType::f64);
  BOOST_TEST(refused("encoder.wieght.exp_avg", pair) ==
             "parameters: no parameter 'encoder.wieght'; did you mean 'encoder.weight'?");
  BOOST_TEST(refused("exp_avg", pair) == "parameters: no parameter ''");
  BOOST_TEST(refused("encoder.weight.momentum_buffer", pair) ==
             "load_state: 'encoder.weight.momentum_buffer' names no state of this optimizer");
  BOOST_TEST(refused("encoder.weight.exp_avg", Tensor::zeros({3}, DType::f64)) ==
             "load_state: 'encoder.weight.exp_avg' has shape [3], its parameter [2]");
  BOOST_TEST(refused("encoder.weight.step", Tensor::full({}, 1.5)) ==
             "load_state: 'encoder.weight.step' is 1.5, not a count of steps");
  BOOST_TEST(refused("encoder.weight.step", Tensor::full({}, nan)) ==
             "load_state: 'encoder.weight.step' is nan, not a count of steps");
  BOOST_TEST(refused("encoder.weight.step", Tensor()) == "load_state: 'encoder.weight.step' is missing");
  BOOST_TEST(refused("decoder.bias.exp_avg_sq", Tensor()) ==
             "load_state: 'decoder.bias.exp_avg_sq' is missing");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
