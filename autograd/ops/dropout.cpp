#include "dropout.h"

#include "../gradcheck/samples.h"
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

namespace {

/// 1 where dropout_with(x, p, key) keeps x, 0 elsewhere.
Tensor kept(const Shape& shape, double p, RandomKey key) {
  const Tensor ones = Tensor::full(shape, 1, DType::f64);
  Tensor y(shape, DType::f64);
  kernels::dropout_forward(ones.data<double>(), y.data<double>(), y.size(), p, key);
  return y.to(DType::boolean);
}

const OpSamples dropout_samples("dropout", [] {
  std::vector<Sample> samples =
      unary_samples([](const Var& x) { return dropout_with(x, 0.4, {7}); }, "a * kept / (1 - 0.4)");
  for (Sample& sample : samples) sample.constants = {{"kept", kept(sample.inputs[0].shape(), 0.4, {7})}};
  const char* drawn = "none: PyTorch draws other numbers; the draws of a given key are compared";
  const auto add = [&](const char* label, double p, bool training, const char* torch) {
    samples.push_back({label,
                       {sample_values({3, 5})},
                       [p](const std::vector<Var>& in) { return dropout(in[0], p) * in[0]; },
                       torch});
    samples.back().training = training;
  };
  add("next draw", 0.5, true, drawn);
  add("not training", 0.5, false, "F.dropout(a, 0.5, training=False) * a");
  add("all dropped", 1, true, "F.dropout(a, 1.0) * a");
  add("none dropped", 0, true, "F.dropout(a, 0.0) * a");
  samples.push_back({"two draws",
                     {sample_values({4, 3})},
                     [](const std::vector<Var>& in) { return dropout(dropout(in[0], 0.3), 0.3); },
                     drawn});
  samples.back().training = true;
  return samples;
});

}  // namespace
}  // namespace tapegrad
