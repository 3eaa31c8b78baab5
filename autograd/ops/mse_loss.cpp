#include "mse_loss.h"

#include "../kernels/elementwise.h"
#include "arithmetic.h"
#include "elementwise.h"
#include "reduce.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct MseLoss final : Typed<MseLoss, Fused> {
  const char* name() const override { return "mse_loss"; }
  Formula formula() const override {
    return "loss = sum((a - b)^2) / n;  da = 2 / n dloss (a - b), db = -da";
  }
  Shape shape(Views in, int) const override {
    const Shape &a = in[0].shape, &b = in[1].shape;
    expects(a == b, "mse_loss: prediction {} and target {} differ in shape; {}", a, b,
            a.size() == b.size() ? "reshape one of them" : "they are not broadcast, see broadcast_to");
    return {};
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T *a = in[0], *b = in[1];
    const Index n = in.size();
    ScratchVector<T> error(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) error[static_cast<std::size_t>(i)] = a[i] - b[i];
    *out[0] = kernels::sum_squares<T>(error.data(), n) / static_cast<T>(n);
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T *a = g.x(0), *b = g.x(1);
    T *da = g.dx(0), *db = g.dx(1);
    const Index n = g.x_shape().size();
    const T slope = 2 * *g.dy() / static_cast<T>(n);
    for (Index i = 0; da != nullptr && i < n; ++i) da[i] += slope * (a[i] - b[i]);
    for (Index i = 0; db != nullptr && i < n; ++i) db[i] -= slope * (a[i] - b[i]);
  }
  VarList define(std::span<const Var> in) const override { return {mean(square(in[0] - in[1]))}; }
};

}  // namespace

Var mse_loss(const Var& prediction, const Var& target) { return apply(MseLoss{}, {prediction, target}); }
Var mse_loss(const Var& prediction, const Tensor& target) {
  return mse_loss(prediction, detail::constant_on(prediction, target));
}

}  // namespace tapegrad
