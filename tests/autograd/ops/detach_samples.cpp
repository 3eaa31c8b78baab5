#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
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
