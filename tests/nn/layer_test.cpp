#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/nn/layer.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <vector>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;

void ones(Tensor& values, RandomKey) { values.fill(1); }

struct Scale : Layer<Scale> {
  Scale(const Scope& s, Index width) : Layer(s), weight(s.parameter("weight", {width}, ones)) {}
  Var forward(const Var& x) const { return x * x.tape()[weight]; }
  Parameter weight;
};

struct Pair : Layer<Pair> {
  Pair(const Scope& s, Index width) : Layer(s), first(s / "first", width), second(s / "second", width) {}
  Var forward(const Var& x) const { return second(first(x) + 1); }
  Scale first, second;
};

struct Start : Layer<Start> {
  explicit Start(const Scope& s) : Layer(s) {}
  Var forward(Tape& tape) const { return tape.full({}, 1); }
};

struct BatchMean : Layer<BatchMean> {
  static constexpr bool mixes_examples = true;
  explicit BatchMean(const Scope& s) : Layer(s) {}
  Var forward(const Var& x) const { return sum_to(x, {}) / static_cast<double>(x.size()); }
};

struct Model : Layer<Model> {
  explicit Model(const Scope& s) : Layer(s), mean(s / "mean") {}
  Var forward(const Var& x) const { return mean(x); }
  BatchMean mean;
};

/// A result of several values, as attention's.
struct Attending : Layer<Attending> {
  struct Result {
    Var context, weights;
    const Var& observed() const { return context; }
  };
  explicit Attending(const Scope& s) : Layer(s) {}
  Result forward(const Var& x) const { return {x + 1, sum_to(x, {})}; }
};

struct Lost : Layer<Lost> {
  explicit Lost(const Scope& s) : Layer(s) {}
  double forward(double x) const { return x; }
};

std::string path_of(const Var& x) { return *x.tape().node(x.id().node).path; }

}  // namespace

BOOST_AUTO_TEST_SUITE(layer)

BOOST_AUTO_TEST_CASE(nodes_carry_the_path_of_their_layer) {
  ParameterStore store;
  const Pair pair(store.root() / "model", 2);
  Tape tape;
  const Var x = tape.variable({1, 2}), y = pair(x);
  BOOST_TEST(path_of(x).empty());
  BOOST_TEST(path_of(y) == "model.second");
  BOOST_TEST(path_of(y + 1).empty());
  BOOST_TEST(pair.first.path() == "model.first");
  BOOST_TEST(y.value().at({1}) == 3);
  BOOST_TEST(Start(store.root() / "start")(tape).item() == 1);
}

BOOST_AUTO_TEST_CASE(errors_name_the_innermost_layer_and_the_tape_forgets_the_path) {
  ParameterStore store;
  const Pair pair(store.root() / "model", 2);
  Tape tape;
  const Var x = tape.variable({1, 2, 3});
  BOOST_TEST(error_of([&] { pair(x); }) ==
             "model.first: mul: shapes [3] and [2] do not broadcast; aligned at the last axis, extents must "
             "be equal or 1");
  BOOST_TEST(path_of(x + 1).empty());
  const Var loss = sum_to(pair(tape.variable({1, 2})), {});
  pair.second.weight.update([](Tensor& values) { values.fill(3); });
  BOOST_TEST(error_of([&] { tape.backward(loss); }) ==
             "model.second: mul: parameter 'model.second.weight' is at version 1, but version 0 was "
             "recorded; update parameters after "
             "backward, or record again");
}

BOOST_AUTO_TEST_CASE(layers_that_mix_examples_refuse_a_sharded_step) {
  ParameterStore store;
  const Model model(store.root() / "model");
  Tape tape, shard({.sharded = true});
  BOOST_TEST(model(tape.variable({1, 3})).item() == 2);
  BOOST_TEST(error_of([&] {
               model(shard.variable({1, 3}));
             }) ==
             "model.mean: layer: it mixes examples, so its result would depend on how a sharded step cuts "
             "the batch");
}

BOOST_AUTO_TEST_CASE(moved_layers_keep_path_and_parameters) {
  ParameterStore store;
  std::vector<Pair> layers;
  for (Index i = 0; i < 5; ++i) layers.emplace_back(store.root() / "layers" / i, 2);  // grows, so moves
  const Pair last = std::move(layers.back());
  Tape tape;
  BOOST_TEST(path_of(last(tape.variable({1, 2}))) == "layers.4.second");
  BOOST_TEST((last.first.weight == store.at("layers.4.first.weight")));
  static_assert(!std::is_copy_constructible_v<Pair> && std::is_move_constructible_v<Pair>);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  ParameterStore store;
  const Scale scale(store.root() / "scale", 2);
  BOOST_TEST(error_of([&] { scale(Var()); }) == "layer: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] { Lost(store.root() / "lost")(1.0); }) ==
             "layer: no argument is a Tape or a Var, so there is no tape to record on");
  BOOST_TEST(error_of([&] { Scale(store.root() / "scale", 2); }) ==
             "parameters: 'scale.weight' exists already; every layer needs a scope of its own");
}

BOOST_AUTO_TEST_CASE(hooks_see_results_and_contexts) {
  ParameterStore store;
  const Pair pair(store.root() / "pair", 2);
  const Attending attending(store.root() / "attending");
  Tape tape;
  std::vector<std::string> seen;
  tape.observers().on_value("*", [&](const std::string& path, const Var& result) {
    seen.push_back(fmt::format("{} {}", path, result.shape()));
  });
  attending(pair(tape.variable({1, 2})));
  BOOST_TEST(
      seen == (std::vector<std::string>{"pair.first [2]", "pair.second [2]", "pair [2]", "attending [2]"}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
