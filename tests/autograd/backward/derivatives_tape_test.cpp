// Derivatives and the tape they are taken on: what they leave there, parameters, draws, checkpoints, several
// tapes and threads.
#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/backward/derivatives.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/layer.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <cmath>
#include <thread>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::test;

namespace {

void ramp(Tensor& values, RandomKey) {
  for (Index i = 0; i < values.size(); ++i) values.data<double>()[i] = 0.25 * static_cast<double>(i) - 0.5;
}

struct Block : Layer<Block> {
  explicit Block(const Scope& scope) : Layer(scope), weight(scope.parameter("weight", {4, 4}, ramp)) {}
  Var forward(const Var& x) const { return dropout(gelu(linear(x, x.tape()[weight])), 0.3); }
  Parameter weight;
};

Var loss_of(const Var& y) { return mean(square(log_softmax(y))); }

bool close(const Tensor& a, const Tensor& b, double limit) {
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  for (std::size_t i = 0; i < y.size(); ++i)
    if (!(std::abs(x.at(i) - y[i]) <= limit * std::max(1.0, std::abs(y[i])))) return false;
  return a.shape() == b.shape();
}

const Tensor direction = sample_values({3, 4}, -1, 1, 9);

/// Everything that this header computes of a small recording, one after the other.
std::vector<Tensor> all_of(const Var& y, const Var& x) {
  return {hvp(loss_of(y), x, direction), jvp(y, x, direction), jacobian(y, x), hessian(loss_of(y), x)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(derivatives_on_tapes)

BOOST_AUTO_TEST_CASE(the_tape_is_left_as_it_was) {
  Tape tape({.dtype = DType::f64, .training = true});
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  const Var x = tape.variable(sample_values({3, 4}, -1, 1, 1)), y = block(x), loss = loss_of(y);
  const Gradients before = tape.backward(loss);
  const Gradients graph = tape.backward(loss, {.create_graph = true});
  const Tensor gradient = before[x].clone(), defined = graph[x].clone(), value = y.value().clone();
  const Tape::Mark mark = tape.mark();
  const auto unchanged = [&] {
    const Tape::Mark now = tape.mark();
    return now.nodes == mark.nodes && now.outputs == mark.outputs && now.arena == mark.arena &&
           now.gradients == mark.gradients && now.draws == mark.draws && now.taps == mark.taps &&
           now.last == mark.last && identical(before[x], gradient) &&
           identical(graph.var(x).value(), defined) && identical(y.value(), value) &&
           identical(tape.backward(loss)[x], gradient);
  };
  const auto check = [&](const char* what) {
    BOOST_TEST(unchanged(), what);
    tape.rewind(mark);
  };
  hvp(loss, x, direction), check("hvp");
  jvp(y, x, direction), check("jvp");
  jacobian(y, x), check("jacobian");
  hessian(loss, x), check("hessian");
  hvp(loss, block.weight, sample_values({4, 4})), check("by a parameter");
  error_of([&] { hvp(loss, x, {}); }), check("a mistake");
  error_of([&] { hessian(y, x); }), check("a mistake of the loss");
  ParameterStore others(1, DType::f64);
  const Parameter unread = others.root().parameter("unread", {2}, ramp);
  check_values(hvp(loss, unread, Tensor({2}, DType::f64)), {2}, {0, 0});
  check("a parameter that was not read");
}

BOOST_AUTO_TEST_CASE(an_op_that_fails_in_between_leaves_the_tape_too) {
  Tape tape({.dtype = DType::f64, .check = true});
  const Var x = tape.variable({0, 4}), loss = sum(sqrt(x));  // no slope at 0
  const std::size_t size = tape.size();
  BOOST_TEST(error_of([&] { hvp(loss, x, Tensor::of({1, 1}, DType::f64)); }) != "no error");
  BOOST_TEST(tape.size() == size);
  check_values(sqrt(x).value(), {2}, {0, 2});
}

BOOST_AUTO_TEST_CASE(gradient_hooks_are_not_run) {
  Tape tape({.dtype = DType::f64});
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  int runs = 0;
  tape.observers().on_gradient("*", [&](const std::string&, const Var&, const Tensor&) { ++runs; });
  const Var x = tape.variable(sample_values({3, 4})), y = block(x);
  all_of(y, x);
  BOOST_TEST(runs == 0);
  tape.backward(loss_of(y));
  BOOST_TEST(runs == 1);
}

BOOST_AUTO_TEST_CASE(parameters_stand_for_their_values_on_the_tape) {
  Tape tape({.dtype = DType::f64});
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  const Var y = block(tape.constant(sample_values({3, 4}))), loss = loss_of(y), w = tape[block.weight];
  const Tensor v = sample_values({4, 4}, -1, 1, 5);
  BOOST_TEST(identical(hvp(loss, block.weight, v), hvp(loss, w, v)));
  BOOST_TEST(identical(jvp(y, block.weight, v), jvp(y, w, v)));
  BOOST_TEST(identical(jacobian(y, block.weight), jacobian(y, w)));
  BOOST_TEST(identical(hessian(loss, block.weight), hessian(loss, w)));
  BOOST_TEST((jacobian(y, block.weight).shape() == Shape{12, 16}));

  block.weight.update([](Tensor& values) { values.data<double>()[0] += 1; });
  BOOST_TEST(error_of([&] { hvp(loss, block.weight, v); }) ==
             "block: linear: parameter 'block.weight' is at version 1, but version 0 was recorded; update "
             "parameters "
             "after backward, or record again");
  params.freeze("*");
  BOOST_TEST(
      error_of([&] { hvp(loss, block.weight, v); }) ==
      "hvp: x of shape [4, 4] needs no gradient (a constant, or frozen); differentiate with respect to a "
      "variable, a trainable parameter or what is computed from one");
}

BOOST_AUTO_TEST_CASE(dropout_keeps_its_draws) {
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  const Tensor start = sample_values({3, 4}, -1, 1, 1);
  const auto gradient = [&](double step) {
    Tape tape({.dtype = DType::f64, .training = true, .seed = 4});
    Tensor there = start.clone();
    for (Index i = 0; i < there.size(); ++i) there.data<double>()[i] += step * direction.data<double>()[i];
    const Var x = tape.variable(there);
    return tape.backward(loss_of(block(block(x))))[x].to_vector();
  };
  const double h = 1e-3;
  const std::vector<double> a = gradient(2 * h), b = gradient(h), c = gradient(-h), d = gradient(-2 * h);
  Tensor slope({3, 4}, DType::f64);
  for (std::size_t i = 0; i < a.size(); ++i)
    slope.data<double>()[i] = (8 * (b[i] - c[i]) - (a[i] - d[i])) / (12 * h);
  for (const bool checkpointed : {false, true}) {
    Tape tape({.dtype = DType::f64, .training = true, .seed = 4});
    const Var x = tape.variable(start);
    const Var y =
        checkpointed ? checkpoint([&](const Var& at) { return block(block(at)); }, x) : block(block(x));
    const Var loss = loss_of(y);
    const Tensor found = hvp(loss, x, direction);
    BOOST_TEST(close(found, slope, 1e-8));
    BOOST_TEST(identical(hvp(loss, x, direction), found));
    bool dropped = false;
    for (const double value : y.value().to_vector()) dropped |= value == 0;
    BOOST_TEST(dropped);
  }
}

BOOST_AUTO_TEST_CASE(tapes_at_once_do_not_mix) {
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  const auto record = [&](Tape& tape) { return tape.variable(sample_values({3, 4}, -1, 1, 1)); };
  Tape alone({.dtype = DType::f64, .training = true, .seed = 3});
  const Var x = record(alone);
  const std::vector<Tensor> expected = all_of(block(x), x);

  Tape a({.dtype = DType::f64, .training = true, .seed = 3}),
      b({.dtype = DType::f64, .training = true, .seed = 3});
  const Var xa = record(a), xb = record(b), ya = block(xa), yb = block(xb);
  const Gradients ga = a.backward(loss_of(ya), {.create_graph = true}),
                  gb = b.backward(loss_of(yb), {.create_graph = true});
  const std::vector<Tensor> in_a = all_of(ya, xa), in_b = all_of(yb, xb);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(identical(in_a[i], expected[i]), i);
    BOOST_TEST(identical(in_b[i], expected[i]), i);
  }
  const Tensor second_a = a.backward(ga.var(xa), {.cotangent = direction})[xa].clone(),
               second_b = b.backward(gb.var(xb), {.cotangent = direction})[xb].clone();
  BOOST_TEST(identical(second_a, second_b));
  BOOST_TEST(identical(second_a, expected[0]));
}

BOOST_AUTO_TEST_CASE(threads_with_tapes_of_their_own_give_the_same_bits) {
  ParameterStore params(1, DType::f64);
  const Block block(params.root() / "block");
  const auto work = [&](std::uint64_t seed) {
    std::vector<Tensor> results;
    Tape tape({.dtype = DType::f64, .training = true, .seed = seed});
    for (int round = 0; round < 5; ++round) {
      tape.reset();
      const Var x = tape.variable(sample_values({3, 4}, -1, 1, seed)), y = block(block(x));
      for (const Tensor& found : all_of(y, x)) results.push_back(found);
      results.push_back(hvp(loss_of(y), block.weight, sample_values({4, 4}, -1, 1, seed)));
    }
    return results;
  };
  constexpr std::size_t count = 4;
  std::vector<Tensor> found[count];
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&, i] { found[i] = work(i); });
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<Tensor> expected = work(i);
    BOOST_REQUIRE(found[i].size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) BOOST_TEST(identical(found[i][k], expected[k]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
