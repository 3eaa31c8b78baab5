#include "dropout.h"

#include "../kernels/dropout.h"
#include "arithmetic.h"

namespace tapegrad {
namespace {

struct Dropout final : Primitive {
  double p;
  RandomKey key;
  Dropout(double probability, RandomKey draw) : p(probability), key(draw) {}
  const char* name() const override { return "dropout"; }
  Formula formula() const override { return "y = x [u >= p] / (1 - p);  dx = dy [u >= p] / (1 - p)"; }
  void attributes(Attributes& a) const override { put(a, "p", p); }
  Shape shape(Views in, int) const override {
    expects(p >= 0 && p <= 1, "dropout: the probability must lie in [0, 1], got {}", p);
    return in[0].shape;
  }
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::dropout_forward(in[0].data<T>(), out[0].data<T>(), out[0].size(), p, key);
    });
  }
  bool has_backward() const override { return true; }
  Range overwrites(std::size_t, Views, Views) const override { return everything; }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::dropout_backward(args.doutputs[0].data<T>(), args.dinputs[0].data<T>(), args.outputs[0].size(),
                                p, key, 0, !args.fresh[0]);
    });
  }
  VarList pullback(const PullbackArgs& args) const override {
    return {dropout_with(args.cotangents[0], p, key)};
  }
};

}  // namespace

Var dropout_with(const Var& x, double p, RandomKey key) { return apply(Dropout{p, key}, {x}); }

Var dropout(const Var& x, double p) {
  Tape& tape = x.tape("dropout");
  expects(p >= 0 && p <= 1, "dropout: the probability must lie in [0, 1], got {}", p);
  return tape.training() && p > 0 ? dropout_with(x, p, tape.next_draw()) : x;
}

}  // namespace tapegrad
