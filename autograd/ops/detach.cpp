#include "detach.h"

#include <cstring>

#include "../gradcheck/samples.h"
#include "arithmetic.h"

namespace tapegrad {
namespace {

struct Detach final : Primitive {
  const char* name() const override { return "detach"; }
  Formula formula() const override { return "y = x;  dx = 0"; }
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

Tensor factor_for(const Shape& shape) { return sample_values(shape, -2, 2, 9); }

// Finite differences would see through detach: it gets values that do not move with x, or a factor of 0.
Var detached_factor(const Var& x) {
  return x * detach(x.tape().constant(factor_for(x.shape()).to(x.dtype()))) + 0 * detach(x);
}

const OpSamples detach_samples("detach", [] {
  std::vector<Sample> samples = unary_samples(detached_factor, "a * factor.detach() + 0 * a.detach()");
  for (Sample& sample : samples) sample.constants = {{"factor", factor_for(sample.inputs[0].shape())}};
  return samples;
});

}  // namespace
}  // namespace tapegrad
