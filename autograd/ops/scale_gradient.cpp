#include "scale_gradient.h"

#include <algorithm>

#include "arithmetic.h"
#include "typed.h"

namespace tapegrad {
namespace {

struct ScaleGradient final : Typed<ScaleGradient> {
  double factor;
  explicit ScaleGradient(double times) : factor(times) {}
  const char* name() const override { return "scale_gradient"; }
  Formula formula() const override { return "y = x;  dx = factor dy"; }
  void attributes(Attributes& a) const override { put(a, "factor", factor); }
  Shape shape(Views in, int) const override { return in[0].shape; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    std::copy_n(in[0], in.size(), out[0]);
  }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  bool is_identity_pullback(std::size_t, Views, Views) const override { return factor == 1; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T f = static_cast<T>(factor);
    if (g.uninitialized())
      g.dx_array() = T(0) + f * g.dy_array();
    else
      g.dx_array() += f * g.dy_array();
  }
  VarList pullback(const PullbackArgs& p) const override { return {affine(p.cotangents[0], factor)}; }
};

}  // namespace

Var scale_gradient(const Var& x, double factor) { return apply(ScaleGradient{factor}, {x}); }
Var flip_gradient(const Var& x) { return scale_gradient(x, -1); }

}  // namespace tapegrad
