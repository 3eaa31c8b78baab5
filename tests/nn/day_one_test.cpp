// Lines that a user of PyTorch writes on the first day with layers, optimizers and steps, with their values.
#include <tapegrad/nn.h>
#include <tapegrad/optim.h>
#include <tapegrad/tapegrad.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <boost/test/unit_test.hpp>
#include <optional>

namespace tapegrad {
using namespace nn;
using namespace optim;
namespace {

using test::check_near;
using test::check_values;
using test::error_of;

struct ScaleOptions {
  double factor = 2;
  std::optional<Tensor> shift = std::nullopt;
};

/// A layer whose call takes braces and defaults.
struct Scaled : Layer<Scaled> {
  explicit Scaled(const Scope& scope) : Layer(scope) {}
  Var forward(const Var& x, const std::vector<double>& weights, const ScaleOptions& options = {},
              Index times = 1) const {
    Var y = x * options.factor;
    for (const double weight : weights) y += weight;
    if (options.shift) y += *options.shift;
    return y * static_cast<double>(times);
  }
};

/// A layer with two results, of which hooks see one.
struct Halves {
  Var first, second;
  const Var& observed() const { return second; }
};
struct Split : Layer<Split> {
  explicit Split(const Scope& scope) : Layer(scope) {}
  Halves forward(const Var& x) const { return {x[{0, 1}], x[{1, 2}]}; }
};

/// A layer with two functions `forward`.
struct Either : Layer<Either> {
  explicit Either(const Scope& scope) : Layer(scope) {}
  Var forward(const Var& x) const { return x + 1; }
  Var forward(const Var& x, double c) const { return x + c; }
};

struct Rows {
  Tensor x;  // [rows, 1]
  Index rows() const { return x.shape()[0]; }
  Index tokens() const { return 128 * rows(); }
  Tensor slice(Index begin, Index end) const { return x[{begin, end}]; }
};

struct Fixture {
  ParameterStore params;
  Tape tape;
  Var x = tape.variable({{1, 2}, {3, 4}});
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(day_one_layers, Fixture)

BOOST_AUTO_TEST_CASE(functions_with_options_in_a_sequential) {
  Sequential net(params.root());
  net.add<Linear>(2, 8).add(gelu).add(softmax).add<Linear>(8, 1).add(relu);
  const Var hidden = linear(x, tape[params.at("0.weight")], tape[params.at("0.bias")]);
  const Var out = linear(softmax(gelu(hidden), -1), tape[params.at("3.weight")], tape[params.at("3.bias")]);
  BOOST_TEST(identical(net(x).value(), relu(out).value()));
}

BOOST_AUTO_TEST_CASE(a_braced_list_converts_in_a_call_of_a_layer) {
  const Scaled layer(params.root() / "scaled");
  check_values(layer(x, {}).value(), {2, 2}, {2, 4, 6, 8});
  check_values(layer(x, {1, 2}).value(), {2, 2}, {5, 7, 9, 11});
  check_values(layer(x, {}, {.factor = 3}).value(), {2, 2}, {3, 6, 9, 12});
  check_values(layer(x, {1}, {.shift = Tensor::of({10, 20})}, 2).value(), {2, 2}, {26, 50, 34, 58});
  const MultiHeadAttention attend(params.root() / "attend", 2, 1);
  const Transformer both(params.root() / "both", {.d_model = 2, .nhead = 1, .dim_feedforward = 4});
  const Var sequence = reshape(x, {1, 2, 2});
  const AttentionResult seen = attend(sequence, sequence, sequence, {.need_weights = true});
  BOOST_TEST(identical(seen.context.value(), attend(sequence, sequence, sequence).value()));
  check_near(sum(seen.weights, -1).value(), {1, 1, 2}, {1, 1});
  BOOST_TEST(!seen.scores);
  BOOST_TEST(identical(both(sequence, sequence, {.target = Mask::causal()}).value(),
                       both.forward(sequence, sequence, {.target = Mask::causal()}).value()));
}

BOOST_AUTO_TEST_CASE(overloaded_functions_forward_are_called_by_their_arguments) {
  const Either layer(params.root() / "either");
  check_values(layer(x).value(), {2, 2}, {2, 3, 4, 5});
  check_values(layer(x, 2.0).value(), {2, 2}, {3, 4, 5, 6});
}

BOOST_AUTO_TEST_CASE(hooks_see_the_observed_result) {
  const Split split(params.root() / "split");
  std::vector<double> seen;
  tape.observers().on_value("split",
                            [&](const std::string&, const Var& value) { seen = value.value().to_vector(); });
  split(x);
  BOOST_TEST(seen == (std::vector<double>{3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_function_and_a_layer_of_one_name) {
  check_near(tapegrad::norm(x, 0).value(), {2}, {3.162278, 4.472136});
  const LayerNorm norm(params.root() / "norm", 2);
  check_near(norm(x).value(), {2, 2}, {-0.99998, 0.99998, -0.99998, 0.99998});
}

BOOST_AUTO_TEST_CASE(functions_take_the_parameters_of_layers) {
  const Linear lin(params.root() / "lin", 2, 3);
  const LayerNorm norm(params.root() / "norm", 2);
  BOOST_TEST(identical(linear(x, lin.weight, lin.bias).value(), lin(x).value()));
  BOOST_TEST(identical(layer_norm(x, norm.weight, norm.bias).value(), norm(x).value()));
  BOOST_TEST(identical((x * norm.weight + norm.bias).value(), x.value()));
  const Gradients g = sum(linear(x, lin.weight, lin.bias)).backward();
  check_values(g[lin.bias], {3}, {2, 2, 2});
}

BOOST_AUTO_TEST_CASE(optimizers_have_the_names_of_pytorch) {
  const Parameter w = params.root().parameter("w", {1}, ones);
  const auto step = [&](Optimizer& optimizer) {
    tape.reset();
    optimizer.step(sum(tape[w] * 2).backward());
    return w.value().item();
  };
  optim::SGD sgd({.learning_rate = 0.1});
  check_near(Tensor::of({step(sgd)}), {1}, {0.8});
  optim::RMSprop rmsprop({.learning_rate = 0.01});
  check_near(Tensor::of({step(rmsprop)}), {1}, {0.7});
  const nn::RMSNorm norm(params.root() / "rms", 2);
  BOOST_TEST(norm.eps == 1e-6);
}

BOOST_AUTO_TEST_CASE(a_step_cuts_its_batch) {
  const Parameter w = params.root().parameter("w", {1}, ones);
  const Rows batch{Tensor::of({{1}, {2}, {3}, {4}, {5}})};
  const Index shards = shard_count(batch.rows(), batch.tokens(), 1);
  BOOST_TEST(shards == 4);
  ShardedStep step(params, {.threads = 2}), by_hand(params, {.threads = 2});
  std::atomic<int> calls = 0;
  const auto loss = [&](Tape& shard_tape, const Tensor& part) -> ShardLoss {
    ++calls;
    return {sum(dropout(shard_tape.constant(part), 0.5) * shard_tape[w]), part.size()};
  };
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const StepResult cut = step.run(batch, loss);
    BOOST_TEST(calls == 4);
    const StepResult expected = by_hand.run(number, shards, [&](Tape& shard_tape, Index i) {
      return loss(shard_tape, batch.slice(shard_begin(5, i, shards), shard_begin(5, i + 1, shards)));
    });
    BOOST_TEST(cut.count == 5);
    BOOST_TEST(cut.loss_sum == expected.loss_sum);
    BOOST_TEST(identical(cut.gradients[w], expected.gradients[w]));
    calls = 0;
  }
  const double fourth = step.run(batch, loss).loss_sum;
  BOOST_TEST(step.run(4, batch, loss).loss_sum == fourth);
  const double fifth = step.run(batch, loss).loss_sum;
  BOOST_TEST(step.run(5, batch, loss).loss_sum == fifth);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
