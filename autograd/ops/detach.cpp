#include <tapegrad/autograd/ops/detach.h>

#include <cstring>

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/samples.h>

namespace tapegrad {
namespace {

struct Detach final : Primitive {
  const char* name() const override { return "detach"; }
  const char* formula() const override { return "y = x;  dx = 0"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    std::memcpy(out[0].bytes, in[0].bytes, in[0].byte_count());
  }
  bool differentiable() const override { return false; }
  VarList pullback(const PullbackArgs&) const override { return {Var()}; }
};

}  // namespace

Var detach(const Var& x) { return apply(Detach{}, {x}); }

namespace {

// Finite differences would see through detach: it gets values that do not move with x, or a factor of 0.
Var detached_factor(const Var& x) {
  const Tensor factor = sample_values(x.shape(), -2, 2, 9).to(x.dtype());
  return x * detach(x.tape().constant(factor)) + 0 * detach(x);
}

const OpSamples detach_samples("detach", [] { return unary_samples(detached_factor); });

}  // namespace
}  // namespace tapegrad
