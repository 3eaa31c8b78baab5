#include "dropout.h"

#include "../kernels/dropout.h"
#include "arithmetic.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct Dropout final : Typed<Dropout> {
  double p;
  RandomKey key;
  Dropout(double probability, RandomKey draw) : p(probability), key(draw) {}
  const char* name() const override { return "dropout"; }
  Formula formula() const override { return "y = x [u >= p] / (1 - p);  dx = dy [u >= p] / (1 - p)"; }
  void attributes(Attributes& a) const override { put(a, "p", p); }
  Shape shape(Views in, int) const override {
    expects(p >= 0 && p <= 1, "dropout: the probability must be in [0, 1], got {}", p);
    return in[0].shape;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::dropout_forward(in[0], out[0], out.size(), p, key);
  }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    kernels::dropout_backward(g.dy(), g.dx(), g.size(), p, key, 0, !g.uninitialized());
  }
  VarList pullback(const PullbackArgs& args) const override {
    return {dropout_with(args.cotangents[0], p, key)};
  }
};

}  // namespace

Var dropout_with(const Var& x, double p, RandomKey key) { return apply(Dropout{p, key}, {x}); }

Var dropout(const Var& x, double p) {
  Tape& tape = x.tape("dropout");
  expects(p >= 0 && p <= 1, "dropout: the probability must be in [0, 1], got {}", p);
  if (!tape.training() || p == 0) return x;
  return tape.with_rollback([&] { return dropout_with(x, p, tape.next_draw()); });
}

}  // namespace tapegrad
