#include "linear_activation.h"

#include <algorithm>

#include "../../kernels/elementwise.h"
#include "../../kernels/gemm/gemm.h"
#include "../../kernels/workspace.h"
#include "../activation.h"
#include "../linear.h"
#include "../typed.h"

namespace tapegrad {
namespace {

struct LinearActivation final : Typed<LinearActivation, Fused> {
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
    const auto rows = [&](std::size_t i) { return in[i].shape.rank() > 0 ? in[i].shape[0] : 0; };
    return linear_shape(name(), in, rows(1), in.size() > 2 ? rows(2) : 0);
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Index m = in.shape().rows(), n = in.shape(1)[0], width = in.shape(1)[1];
    const T *x = in[0], *w = in[1], *b = in.views.size() > 2 ? in[2] : nullptr;
    if (activation == Activation::relu) {
      kernels::gemm_relu(false, true, m, n, width, x, width, w, width, out[0], n, b);
    } else {
      kernels::gemm(false, true, m, n, width, x, width, w, width, out[1], n, b);
      kernels::gelu(static_cast<const T*>(out[1]), out[0], m * n);
    }
  }

  double flops(Views in, Views out) const override {
    return 2 * static_cast<double>(out[0].size()) * static_cast<double>(in[1].shape[1]);
  }
  Range writable_range(std::size_t input, Views, Views) const override {
    return input < 2 ? everything : nothing;
  }

  /// Block of rows by block of rows: da is made, summed and multiplied while it is in the cache.
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Index m = g.x_shape().rows(), n = g.x_shape(1)[0], width = g.x_shape(1)[1];
    const T *x = g.x(), *w = g.x(1), *dy = g.dy(), *no_bias = nullptr;
    const T* a = g.y(activation == Activation::relu ? 0 : 1);
    T *dx = g.dx(), *dw = g.dx(1), *db = g.args.dinputs.size() > 2 ? g.dx(2) : nullptr;
    const Index rows = std::min(m, std::max<Index>(256, block_values / std::max<Index>(n, 1)));
    T* da = static_cast<T*>(
        kernels::workspace(kernels::Scratch::gradient, static_cast<std::size_t>(rows * n) * sizeof(T)));
    for (Index row = 0; row < m || row == 0; row += rows) {
      const Index count = std::min(rows, m - row);
      if (activation == Activation::relu)
        kernels::relu_gradient(a + row * n, dy + row * n, da, count, n, db);
      else
        kernels::gelu_gradient(a + row * n, dy + row * n, da, count, n, db);
      if (dx)
        kernels::gemm(false, false, count, width, n, static_cast<const T*>(da), n, w, width, dx + row * width,
                      width, no_bias, !g.uninitialized());
      if (dw)
        kernels::gemm(true, false, n, width, count, static_cast<const T*>(da), n, x + row * width, width, dw,
                      width, no_bias, !g.uninitialized(1) || row > 0);
      if (m == 0) break;
    }
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
