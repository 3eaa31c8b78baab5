// Uses the installed library: a program of the names that stay, by the umbrella headers, and an error of
// ours, caught by its type.
#include <tapegrad/nn.h>
#include <tapegrad/optim.h>
#include <tapegrad/tapegrad.h>

#include <cstdio>
#include <string>

using namespace tapegrad;

int main() {
  ParameterStore params(1);
  const nn::Linear layer(params.root() / "layer", 1, 1);
  params.at("layer.weight").update([](Tensor& t) { t.fill(3); });
  params.at("layer.bias").update([](Tensor& t) { t.fill(0); });
  Tape tape;
  const Var y = layer(tape.constant({{2}}));  // a matrix product, so that the kernels are linked
  if (y.item() != 6) return 1;
  optim::SGD sgd({.learning_rate = 0.5});
  sgd.step(tape.backward(y));
  if (params.at("layer.weight").value().at({0, 0}) != 2) return 1;
  try {
    expects(false, "consumer: {} is not {}", 1, 2);
  } catch (const Error& error) {
    std::puts(error.what());
    return std::string(error.what()) == "consumer: 1 is not 2" ? 0 : 1;
  }
  return 1;
}
