#include "transposed_weights.h"

#include "../../autograd/kernels/elementwise.h"
#include "../../autograd/kernels/gemm/gemm.h"

namespace tapegrad::nn {
namespace {

/// y = x W + b for columns of W [in, out], then an activation. Inputs: x, and the bias where there is one. It
/// is never recorded: nothing flows back into a copy.
struct TransposedLinear final : Primitive {
  TensorView weight;
  Index begin, count;
  std::optional<Activation> activation;

  const char* name() const override { return "transposed_linear"; }
  Formula formula() const override { return "y = x W + b"; }
  bool differentiable() const override { return false; }
  VarList pullback(const PullbackArgs& args) const override { return VarList(args.inputs.size()); }

  Shape shape(Views in, int) const override {
    const Shape& x = in[0].shape;
    expects(x.rank() > 0 && x[-1] == weight.shape[0],
            "transposed_linear: x {} and a transposed weight {} do not fit: x's last axis must be {}", x,
            weight.shape, weight.shape[0]);
    return x.with_tail(1, {count});
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index m = in[0].shape.rows(), width = weight.shape[0], ld = weight.shape[1];
      const T *x = in[0].data<T>(), *w = weight.data<T>() + begin;
      const T* b = in.size() > 1 ? in[1].data<T>() + begin : nullptr;
      T* y = out[0].data<T>();
      if (activation == Activation::relu)
        return kernels::gemm_relu(false, false, m, count, width, x, width, w, ld, y, count, b);
      kernels::gemm(false, false, m, count, width, x, width, w, ld, y, count, b);
      if (activation == Activation::gelu) kernels::gelu(static_cast<const T*>(y), y, m * count);
    });
  }
};

}  // namespace

const Tensor& TransposedWeights::operator()(Tape& tape, const Parameter& weight) {
  Copy& copy = copies_[weight.data()];
  if (copy.values && copy.version == weight.version() && copy.values.dtype() == tape.dtype())
    return copy.values;
  const Tensor values =
      weight.value().dtype() == tape.dtype() ? weight.value() : weight.value().to(tape.dtype());
  const TensorView from = values.view();
  copy = {weight, Tensor({from.shape[1], from.shape[0]}, tape.dtype()), weight.version()};
  dispatch(tape.dtype(), [&](auto zero) {
    using T = decltype(zero);
    kernels::transpose(static_cast<const T*>(from.data<T>()), from.shape[0], from.shape[1], from.shape[1],
                       copy.values.data<T>(), from.shape[0]);
  });
  return copy.values;
}

Var TransposedWeights::product(const Var& x, const Parameter& weight, const Parameter& bias, Index begin,
                               Index count, std::optional<Activation> activation) {
  Tape& tape = x.tape("transposed_linear");
  TransposedLinear op;
  op.weight = (*this)(tape, weight).view();
  op.begin = begin;
  op.count = count;
  op.activation = activation;
  return bias ? apply(op, {x, bias}) : apply(op, {x});
}

Var TransposedWeights::linear(const Var& x, const Parameter& weight, const Parameter& bias, Index begin,
                              Index count) {
  return product(x, weight, bias, begin, count, {});
}

Var TransposedWeights::linear(const Var& x, const Linear& layer) {
  return product(x, layer.weight, layer.bias, 0, layer.weight.shape()[0], {});
}

Var TransposedWeights::linear(const Var& x, const Linear& layer, Activation activation) {
  return product(x, layer.weight, layer.bias, 0, layer.weight.shape()[0], activation);
}

}  // namespace tapegrad::nn
