#include "scale_gradient.h"

#include <cstring>

#include "arithmetic.h"

namespace tapegrad {
namespace {

struct ScaleGradient final : Primitive {
  double factor;
  explicit ScaleGradient(double times) : factor(times) {}
  const char* name() const override { return "scale_gradient"; }
  Formula formula() const override { return "y = x;  dx = factor dy"; }
  void attributes(Attributes& a) const override { put(a, "factor", factor); }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    std::memcpy(out[0].bytes, in[0].bytes, in[0].byte_count());
  }
  bool has_backward() const override { return true; }
  Range overwrites(std::size_t, Views, Views) const override { return everything; }
  bool passes_on(std::size_t, Views, Views) const override { return factor == 1; }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T f = static_cast<T>(factor);
      if (args.fresh[0])
        args.dinputs[0].array<T>() = T(0) + f * args.doutputs[0].array<T>();
      else
        args.dinputs[0].array<T>() += f * args.doutputs[0].array<T>();
    });
  }
  VarList pullback(const PullbackArgs& p) const override { return {affine(p.cotangents[0], factor)}; }
};

}  // namespace

Var scale_gradient(const Var& x, double factor) { return apply(ScaleGradient{factor}, {x}); }
Var flip_gradient(const Var& x) { return scale_gradient(x, -1); }

}  // namespace tapegrad
