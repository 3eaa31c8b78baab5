#include "linear_activation.h"

#include <algorithm>

#include "../../kernels/elementwise.h"
#include "../../kernels/gemm/gemm.h"
#include "../../kernels/workspace.h"
#include "../activation.h"
#include "../linear.h"

namespace tapegrad {
namespace {

struct LinearActivation final : Fused {
  static constexpr bool composite = true;
  Activation activation;
  Part layer;  // the linear layer
  LinearActivation(Activation a, const std::string* path) : activation(a), layer{path} {}
  const char* name() const override { return "linear_activation"; }
  Formula formula() const override {
    return activation == Activation::relu
               ? "y = relu(a), a = x W^T + b;  da = dy where y > 0, else 0, dx = da W, dW = da^T x, db = sum "
                 "of da's rows"
               : "y = gelu(a), a = x W^T + b;  da = dy gelu'(a), dx = da W, dW = da^T x, db = sum of da's "
                 "rows";
  }
  void attributes(Attributes& a) const override {
    put(a, "activation", std::string(activation == Activation::relu ? "relu" : "gelu"));
  }
  std::span<const Part> parts() const override { return {&layer, layer.path != nullptr ? 1U : 0U}; }
  int saved() const override { return activation == Activation::gelu ? 1 : 0; }  // a; relu tells by y's sign

  Shape shape(Views in, int) const override {
    const Shape &x = in[0].shape, &w = in[1].shape;
    expects(w.rank() == 2, "linear_activation: weight must be [out, in], got {}", w);
    expects(x.rank() > 0 && x[-1] == w[1],
            "linear_activation: x {} and weight {} do not fit: weight is [out, in], so x's last axis must be "
            "{}",
            x, w, w[1]);
    expects(in.size() == 2 || in[2].shape == Shape{w[0]},
            "linear_activation: bias {} and weight {} do not fit: weight is [out, in], so bias must be [{}]",
            in.back().shape, w, w[0]);
    return x.with_tail(1, {w[0]});
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index m = in[0].shape.rows(), n = in[1].shape[0], width = in[1].shape[1];
      const T *x = in[0].data<T>(), *w = in[1].data<T>(), *b = in.size() > 2 ? in[2].data<T>() : nullptr;
      T* y = out[0].data<T>();
      if (activation == Activation::relu) {
        kernels::gemm_relu(false, true, m, n, width, x, width, w, width, y, n, b);
      } else {
        kernels::gemm(false, true, m, n, width, x, width, w, width, out[1].data<T>(), n, b);
        kernels::gelu(static_cast<const T*>(out[1].data<T>()), y, m * n);
      }
    });
  }

  double flops(Views in, Views out) const override {
    return 2 * static_cast<double>(out[0].size()) * static_cast<double>(in[1].shape[1]);
  }
  Range writable_range(std::size_t input, Views, Views) const override {
    return input < 2 ? everything : nothing;
  }

  /// Block of rows by block of rows: da is made, summed and multiplied while it is in the cache.
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const Index m = args.inputs[0].shape.rows(), n = args.inputs[1].shape[0],
                  width = args.inputs[1].shape[1];
      const T *x = args.inputs[0].data<T>(), *w = args.inputs[1].data<T>(), *dy = args.doutputs[0].data<T>();
      const T* a = args.outputs[activation == Activation::relu ? 0 : 1].data<T>();
      T *dx = args.dinputs[0].data<T>(), *dw = args.dinputs[1].data<T>();
      T* db = args.dinputs.size() > 2 ? args.dinputs[2].data<T>() : nullptr;
      const Index rows = std::min(m, std::max<Index>(256, block_values / std::max<Index>(n, 1)));
      T* da = static_cast<T*>(
          kernels::workspace(kernels::Scratch::gradient, static_cast<std::size_t>(rows * n) * sizeof(T)));
      const T* no_bias = nullptr;
      for (Index row = 0; row < m || row == 0; row += rows) {
        const Index count = std::min(rows, m - row);
        if (activation == Activation::relu)
          kernels::relu_gradient(a + row * n, dy + row * n, da, count, n, db);
        else
          kernels::gelu_gradient(a + row * n, dy + row * n, da, count, n, db);
        if (dx)
          kernels::gemm(false, false, count, width, n, static_cast<const T*>(da), n, w, width,
                        dx + row * width, width, no_bias, !args.uninitialized[0]);
        if (dw)
          kernels::gemm(true, false, n, width, count, static_cast<const T*>(da), n, x + row * width, width,
                        dw, width, no_bias, !args.uninitialized[1] || row > 0);
        if (m == 0) break;
      }
    });
  }

  VarList define(std::span<const Var> in) const override {
    const Var a = record_part(in[0].tape(), layer.path,
                              [&] { return linear(in[0], in[1], in.size() > 2 ? in[2] : Var()); });
    return {activation == Activation::relu ? relu(a) : gelu(a)};
  }

 private:
  static constexpr Index block_values = 1 << 17;
};

}  // namespace

Var linear_activation(const Var& x, const LinearPart& linear, Activation activation) {
  const LinearActivation op(activation, linear.path);
  return linear.bias ? apply(op, {x, linear.weight, linear.bias}) : apply(op, {x, linear.weight});
}

}  // namespace tapegrad
