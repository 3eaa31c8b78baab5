// A complete user-defined layer: the gated feed-forward network. It is checked against finite differences,
// learns to multiply two numbers, and names its path in errors.
#include <cmath>

#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/schedule.h>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::optim;

/// down(silu(gate(x)) ⊙ up(x)): one branch decides how much of the other passes (Shazeer, 2020, arXiv
/// 2002.05202).   x [.., width] -> [.., out]
/// It can multiply exactly, with two hidden values: silu(a) b − silu(−a) b = a b.
struct GatedFeedForward : Layer<GatedFeedForward> {
  GatedFeedForward(const Scope& s, Index width, Index hidden, Index out)
      : Layer(s),
        gate(s / "gate", width, hidden),
        up(s / "up", width, hidden),
        down(s / "down", hidden, out) {}
  Var forward(const Var& x) const { return down(silu(gate(x)) * up(x)); }
  Linear gate, up, down;
};

/// Pairs of numbers between -2 and 2, equal on every machine.
Tensor pairs(Index count, std::uint64_t draw) {
  Tensor x({count, 2});
  const RandomKey key = random_key(7, draw, 0, 0);
  for (Index i = 0; i < x.size(); ++i)
    x.data<float>()[i] = static_cast<float>(4 * uniform01(key, static_cast<std::uint64_t>(i)) - 2);
  return x;
}

/// Checks every derivative of the layer, of its input and its parameters, against finite differences.
bool check_gradients() {
  ParameterStore params(1, DType::f64);
  const GatedFeedForward layer(params.root() / "layer", 3, 4, 2);
  const Tensor x = Tensor::of({{0.3, -1.2, 0.8}, {1.5, 0.1, -0.4}}, DType::f64);
  const auto call = [&](const std::vector<Var>& in) { return layer(in[0]); };
  const GradcheckResult result = gradcheck(call, {x}, params);
  fmt::print("gradients: {} of {} derivatives agree, largest relative error {:.0e}\n",
             result ? result.checked : 0, result.checked, result.max_relative_error);
  if (!result) fmt::print("{}\n", result.message);
  return result.ok;
}

/// Trains the layer and returns its root mean squared error on pairs outside of the training set.
double learn(const GatedFeedForward& multiply) {
  constexpr Index steps = 2000;
  Adam adam;
  const Schedule schedule = cosine_decay(0.02, 50, steps);
  Tape tape;
  const auto error = [&](const Tensor& numbers) {
    const Var x = tape.constant(numbers);
    return mean(square(multiply(x) - slice(x, 1, 0, 1) * slice(x, 1, 1, 1)));  // [count, 1]
  };
  for (Index step = 1; step <= steps; ++step) {
    tape.reset();
    const Var loss = error(pairs(64, static_cast<std::uint64_t>(step)));
    adam.set_learning_rate(schedule(step));
    adam.step(tape.backward(loss, {.consume = true}));
    if (step == 1 || step % 500 == 0) fmt::print("step {:4}   loss {:.6f}\n", step, loss.item());
  }
  tape.reset();
  return std::sqrt(error(pairs(1000, 0)).item());
}

int main() {
  const bool right = check_gradients();

  ParameterStore params(1);
  const GatedFeedForward multiply(params.root() / "multiply", 2, 16, 1);
  fmt::print("\nit learns to multiply, with {} parameters:\n", params.trainable_values());
  for (const Parameter& p : params) fmt::print("  {:<20} {}\n", p.path(), p.shape());
  const double error = learn(multiply);
  Tape tape({.record = false});
  for (const auto& [a, b] : {std::pair{1.5, -0.8}, {-1.2, -1.1}, {0.5, 1.9}}) {
    const double said = multiply(tape.constant({a, b})).item();
    fmt::print("  {:4.1f} * {:4.1f} = {:5.2f}   it says {:5.2f}\n", a, b, a * b, said);
  }
  fmt::print("root mean squared error on 1000 new pairs: {:.3f}\n", error);

  fmt::print("\nand given three numbers instead of two it says:\n");
  try {
    multiply(tape.constant({1, 2, 3}));
  } catch (const Error& mistake) {
    fmt::print("  {}\n", mistake.what());
  }
  return right ? 0 : 1;
}
