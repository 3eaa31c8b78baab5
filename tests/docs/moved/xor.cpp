// Two layers learn exclusive or: true when exactly one of two inputs is.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>
#include <tapegrad/optim/adam.h>

using namespace tapegrad;

struct Network : Layer<Network> {
  explicit Network(const Scope& s) : Layer(s), hidden(s / "hidden", 2, 8), output(s / "output", 8, 1) {}
  Var forward(const Var& x) const { return sigmoid(output(tanh(hidden(x)))); }  // [4, 2] -> [4, 1]
  Linear hidden, output;
};

int main() {
  const Tensor questions = Tensor::of({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor truths = Tensor::of({{0}, {1}, {1}, {0}});
  ParameterStore params(/*seed=*/1);
  const Network network(params.root());
  Adam adam({.learning_rate = 0.05});
  Tape tape;
  for (int step = 0; step <= 400; ++step) {
    tape.reset();  // forgets the step before and keeps its memory
    const Var answers = network(tape.constant(questions));
    const Var loss = mean(square(answers - tape.constant(truths)));
    adam.step(tape.backward(loss));
    if (step % 100 == 0) fmt::print("step {:3}   loss {:.5f}\n", step, loss.item());
  }
  tape.reset();
  const Tensor said = network(tape.constant(questions)).value();
  for (Index i = 0; i < 4; ++i)
    fmt::print("{} xor {} = {:.2f}\n", questions.at({i, 0}), questions.at({i, 1}), said.at({i, 0}));
}
