// One number and its derivative, then a tape, which computes the derivatives of all that ran.
#include <tapegrad/autograd/backward/steps.h>
#include <tapegrad/autograd/ops.h>

#include <cmath>

using namespace tapegrad;

int main() {
  // y = x²: a small move of x moves y by 2x times as much.
  const double x = 3, move = 1e-6;
  fmt::print("x² at 3: measured slope {:.4f}, its formula 2x gives {}\n\n",
             ((x + move) * (x + move) - x * x) / move, 2 * x);

  // A computation of several steps: one neuron whose output should be 1. Running it records it.
  Tape tape({.dtype = DType::f64});
  const Var w = tape.variable(0.5), b = tape.variable(-1);
  const Var y = tanh(w * tape.constant(3) + b);
  const Var loss = square(y - 1);
  fmt::print("y = tanh(3w + b) = {:.4f}, loss = (y - 1)² = {:.4f}, {} nodes on the tape\n\n", y.item(),
             loss.item(), tape.size());

  // Backwards: each op turns the slope of the loss along its result into slopes along its operands. This is
  // the chain rule, one factor at a time, from the last op to the first.
  BackwardSteps steps(tape, loss);
  while (steps.next()) {
    const Step& step = steps.current();
    fmt::print("{:8} {:40} dloss/dy = {:7.4f}", step.op, step.formula, step.output_grads[0].item());
    for (const Tensor& input_grad : step.input_grads)
      if (input_grad) fmt::print("   sends {:7.4f}", input_grad.item());
    fmt::print("\n");
  }

  // All gradients in one call. By hand they are 2 (y - 1) (1 - y²) times 3 and times 1.
  const Gradients g = tape.backward(loss);
  const double by_hand = 2 * (y.item() - 1) * (1 - y.item() * y.item());
  fmt::print("\ndloss/dw = {:.6f}, by hand {:.6f}\ndloss/db = {:.6f}, by hand {:.6f}\n", g[w].item(),
             3 * by_hand, g[b].item(), by_hand);

  // A value that is used twice gets a contribution from each use, and they add up: the product rule. A pass
  // can stop at an op and show the sum so far.
  BackwardSteps pass(tape, w * sin(w));
  pass.run_to_op("mul");
  const double from_product = pass.so_far(w).item();
  fmt::print("\nd(w sin w)/dw: {:.4f} from the product, {:.4f} with the sine's part, by hand {:.4f}\n",
             from_product, pass.gradients()[w].item(), std::sin(w.item()) + w.item() * std::cos(w.item()));

  // A step against the gradient makes the loss smaller; training repeats such steps.
  const double w1 = w.item() - 0.1 * g[w].item(), b1 = b.item() - 0.1 * g[b].item();
  tape.reset();  // forgets what was recorded and keeps its memory
  const Var after = square(tanh(tape.variable(w1) * tape.constant(3) + tape.variable(b1)) - 1);
  fmt::print("\nloss after one step of gradient descent: {:.4f}\n", after.item());
}
