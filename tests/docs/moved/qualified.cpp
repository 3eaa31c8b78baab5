// An older program that names everything in full.
#include <tapegrad/autograd/error.h>
#include <tapegrad/autograd/kernels/random.h>
#include <tapegrad/autograd/layer.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/autograd/tensor.h>
#include <tapegrad/nn/data/utf8.h>
#include <tapegrad/nn/feed_forward.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>

struct Block : tapegrad::Layer<Block> {
  explicit Block(const tapegrad::Scope& s) : tapegrad::Layer<Block>(s), linear(s / "linear", 3, 3) {}
  tapegrad::Var forward(const tapegrad::Var& x) const { return linear(x); }
  tapegrad::Linear linear;
};

int main() {
  tapegrad::ParameterStore params(1);
  const Block block(params.root());
  tapegrad::Adam adam({.learning_rate = 0.1});
  tapegrad::Tape tape;
  const tapegrad::Var loss = tapegrad::sum(block(tape.constant({{1, 2, 3}})));
  adam.step(tape.backward(loss));
  const tapegrad::kernels::RandomKey key = tapegrad::kernels::random_key(1, 0, 0, 0);
  tapegrad::expects(tapegrad::printable("ä") == "ä" && key.value != 0, "an older program");
}
