// Saves and loads the state of optimizers, and checks that a step allocates nothing.
#include <tapegrad/optim/adagrad.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/rmsprop.h>
#include <tapegrad/optim/sgd.h>

#include <tests/optim/model.h>
#include <tests/support/errors.h>
#include <tests/support/malloc_count.h>
#include <functional>
#include <limits>
#include <memory>

namespace tapegrad {
using namespace optim;
namespace {

using test::error_of;
using test::Model;
using State = std::map<std::string, Tensor>;
using Make = std::function<std::unique_ptr<Optimizer>()>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class T, class Options>
Make make(const Options& options) {
  return [=] { return std::make_unique<T>(options); };
}

const Make makes[] = {
    make<SGD>(SGDOptions{.learning_rate = 0.1}),
    make<SGD>(SGDOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.5, .maximize = true}),
    make<Adam>(AdamOptions{.learning_rate = 0.1}),
    make<Adam>(AdamOptions{.learning_rate = 0.1, .amsgrad = true}),
    make<AdamW>(AdamWOptions{.learning_rate = 0.1, .amsgrad = true, .maximize = true}),
    make<AdamW>(AdamWOptions{.learning_rate = 0.1}),
    make<RMSprop>(RMSpropOptions{.learning_rate = 0.1}),
    make<RMSprop>(RMSpropOptions{.learning_rate = 0.1, .momentum = 0.5, .centered = true}),
    make<Adagrad>(AdagradOptions{.learning_rate = 0.1, .lr_decay = 0.1, .initial_accumulator_value = 0.5}),
};

std::vector<std::string> names_of(const Optimizer& optimizer) {
  std::vector<std::string> names;
  for (const auto& [name, value] : optimizer.state())
    if (name.starts_with("encoder.weight.")) names.push_back(name.substr(15));
  return names;
}

const std::string begin = "load_state: the state does not fit, nothing was changed:\n  ";

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer_state)

BOOST_AUTO_TEST_CASE(continues_with_the_same_bits) {
  for (const Make& fresh : makes)
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Model straight(dtype), resumed(dtype);
      const auto whole = fresh(), first = fresh(), second = fresh();
      straight.train(*whole, 0, 20);
      resumed.train(*first, 0, 7);
      const auto saved = first->state();
      resumed.train(*first, 7, 9);  // the saved state is a copy
      const Model again(dtype);
      const auto replay = fresh();
      again.train(*replay, 0, 7);
      resumed.train(*second, 0, 3);  // forgotten by load_state
      for (const Parameter& p : resumed.store) p.assign(again.store.at(p.path()).value());
      second->load_state(resumed.store, saved);
      resumed.train(*second, 7, 20);
      straight.check_same(resumed);
    }
}

BOOST_AUTO_TEST_CASE(has_the_names_of_pytorch) {
  const std::vector<std::string> expected[] = {
      {"step"},
      {"momentum_buffer", "step"},
      {"exp_avg", "exp_avg_sq", "step"},
      {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"},
      {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"},
      {"exp_avg", "exp_avg_sq", "step"},
      {"square_avg", "step"},
      {"grad_avg", "momentum_buffer", "square_avg", "step"},
      {"step", "sum"},
  };
  for (std::size_t i = 0; i < std::size(makes); ++i) {
    const Model model;
    const auto optimizer = makes[i]();
    model.train(*optimizer, 0, 1);
    BOOST_TEST(names_of(*optimizer) == expected[i], boost::test_tools::per_element());
    BOOST_TEST(optimizer->state().size() == 3 * expected[i].size());
  }
}

BOOST_AUTO_TEST_CASE(a_step_allocates_nothing) {
  for (const Make& fresh : makes)
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Model model(dtype);
      const auto optimizer = fresh();
      Tape tape({.dtype = dtype});
      optimizer->step(model.ones(tape));
      tape.reset();
      const Gradients g = model.ones(tape);
      const std::uint64_t before = test::allocation_calls();
      optimizer->step(g);
      clip_grad_norm(g, 0.5, 1);
      clip_grad_value(g, 0.1);
      BOOST_TEST(test::allocation_calls() == before);
    }
}

BOOST_AUTO_TEST_CASE(steps_in_any_dtype_and_none_for_sgd) {
  for (const Make& fresh : makes) {
    const Model model, other;
    const auto first = fresh(), second = fresh();
    model.train(*first, 0, 3);
    State state = first->state();
    for (auto& [name, value] : state)
      if (name.ends_with(".step")) value = value.to(DType::i64).reshaped({1});
    for (const Parameter& p : other.store) p.assign(model.store.at(p.path()).value());
    second->load_state(other.store, state);
    BOOST_TEST(second->state().at("encoder.weight.step").item() == 3);
    model.train(*first, 3, 6);
    other.train(*second, 3, 6);
    model.check_same(other);
  }
  const Model model, other;
  const SGDOptions options{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.5};
  SGD first(options), second(options);
  model.train(first, 0, 3);
  State state = first.state();
  for (const Parameter& p : model.store) state.erase(p.path() + ".step");  // as PyTorch's
  for (const Parameter& p : other.store) p.assign(model.store.at(p.path()).value());
  second.load_state(other.store, state);
  model.train(first, 3, 6);
  other.train(second, 3, 6);
  model.check_same(other);
}

BOOST_AUTO_TEST_CASE(values_in_any_floating_dtype_under_any_name_of_the_parameter) {
  Model model;
  model.store.tie("head.weight", model.encoder);
  const State state = {{"head.weight.exp_avg", Tensor::of({0.5, -2}, DType::bf16)},
                       {"head.weight.exp_avg_sq", Tensor::of({0.25, 4}, DType::f16)},
                       {"head.weight.step", Tensor::full({}, 7, DType::i32)}};
  Adam adam;
  adam.load_state(model.store, state);
  const State loaded = adam.state();
  BOOST_TEST(loaded.size() == 3u);
  BOOST_TEST(identical(loaded.at("encoder.weight.exp_avg"), Tensor::of({0.5, -2}, DType::f64)));
  BOOST_TEST(identical(loaded.at("encoder.weight.exp_avg_sq"), Tensor::of({0.25, 4}, DType::f64)));
  BOOST_TEST(loaded.at("encoder.weight.step").item() == 7);
}

BOOST_AUTO_TEST_CASE(one_that_does_not_fit_changes_nothing) {
  const Model model;
  Adam adam;
  model.train(adam, 0, 3);
  const State good = adam.state();
  const auto refused = [&](const State& changes) {
    State state = good;
    for (const auto& [name, value] : changes) {
      state[name] = value;
      if (!value) state.erase(name);
    }
    const std::string text = error_of([&] { adam.load_state(model.store, state); });
    const State after = adam.state();
    BOOST_TEST(after.size() == good.size());
    for (const auto& [key, kept] : good) BOOST_TEST(identical(after.at(key), kept), key);
    return text;
  };
  const Tensor pair = Tensor::zeros({2}, DType::f64);
  BOOST_TEST(refused({{"encoder.wieght.exp_avg", pair}}) ==
             begin +
                 "'encoder.wieght.exp_avg': there is no parameter 'encoder.wieght'; did you mean "
                 "'encoder.weight'?");
  BOOST_TEST(refused({{"exp_avg", pair}}) == begin + "'exp_avg': there is no parameter ''");
  BOOST_TEST(refused({{"encoder.weight.step", Tensor::full({}, 1.5)}}) ==
             begin + "'encoder.weight.step': is 1.5, not a count of steps");
  BOOST_TEST(refused({{"encoder.weight.step", Tensor::full({}, -1)}}) ==
             begin + "'encoder.weight.step': is -1, not a count of steps");
  BOOST_TEST(refused({{"encoder.weight.step", Tensor::full({}, std::numeric_limits<double>::infinity())}}) ==
             begin + "'encoder.weight.step': is inf, not a count of steps");
  BOOST_TEST(refused({{"encoder.weight.step", Tensor()}}) == begin + "'encoder.weight.step': missing");
  BOOST_TEST(refused({
                 {"decoder.bias.exp_avg_sq", Tensor()},
                 {"decoder.weight.exp_avg", Tensor::ids({1, 2})},
                 {"decoder.weight.step", pair},
                 {"encoder.weight.exp_avg", Tensor::zeros({3}, DType::f64)},
                 {"encoder.weight.max_exp_avg_sq", pair},
                 {"encoder.weight.step", Tensor::full({}, nan)},
                 {"nowhere.exp_avg", pair},
             }) ==
             begin +
                 "'decoder.weight.exp_avg': is i64, not floating\n"
                 "  'decoder.weight.step': has shape [2], but a count of steps is one number\n"
                 "  'encoder.weight.exp_avg': has shape [3], its parameter [2]\n"
                 "  'encoder.weight.max_exp_avg_sq': this optimizer keeps no 'max_exp_avg_sq'\n"
                 "  'encoder.weight.step': is nan, not a count of steps\n"
                 "  'nowhere.exp_avg': there is no parameter 'nowhere'\n"
                 "  'decoder.bias.exp_avg_sq': missing\n"
                 "  hint: this optimizer keeps {exp_avg, exp_avg_sq}, the state holds {exp_avg, exp_avg_sq, "
                 "max_exp_avg_sq}: is it of another optimizer, or were other options set?");
}

BOOST_AUTO_TEST_CASE(of_another_optimizer) {
  const Model model;
  SGD sgd({.momentum = 0.9});
  model.train(sgd, 0, 1);
  State state = sgd.state();
  std::erase_if(state, [](const auto& item) { return !item.first.starts_with("encoder."); });
  RMSprop rmsprop;
  BOOST_TEST(error_of([&] { rmsprop.load_state(model.store, state); }) ==
             begin +
                 "'encoder.weight.momentum_buffer': this optimizer keeps no 'momentum_buffer'\n"
                 "  'encoder.weight.square_avg': missing\n"
                 "  hint: this optimizer keeps {square_avg}, the state holds {momentum_buffer}: is it of "
                 "another optimizer, or were other options set?");
  BOOST_TEST(rmsprop.state().empty());
}

BOOST_AUTO_TEST_CASE(a_tied_parameter_has_one_state) {
  Model model;
  model.store.tie("generator.weight", model.encoder);
  SGD sgd({.learning_rate = 0.1, .momentum = 0.9});
  const auto one = [](double value) { return Tensor::full({2}, value, DType::f64); };
  sgd.load_state(model.store, {{"generator.weight.momentum_buffer", one(3)}});
  BOOST_TEST(identical(sgd.state().at("encoder.weight.momentum_buffer"), one(3)));
  const State both = {{"encoder.weight.momentum_buffer", one(1)},
                      {"generator.weight.momentum_buffer", one(2)}};
  BOOST_TEST(error_of([&] { sgd.load_state(model.store, both); }) ==
             begin + "'generator.weight': tied to 'encoder.weight', of which there is a state too");
  BOOST_TEST(identical(sgd.state().at("encoder.weight.momentum_buffer"), one(3)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
