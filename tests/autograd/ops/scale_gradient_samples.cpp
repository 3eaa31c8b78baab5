#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// Only with a factor of 1 finite differences see the gradient.
const OpSamples scale_gradient_samples("scale_gradient", [] {
  std::vector<Sample> samples = unary_samples([](const Var& x) { return scale_gradient(x, 1); }, "a");
  const auto add = [&samples](const char* label, std::vector<Sample> more) {
    for (Sample& sample : more) {
      sample.label = fmt::format("{}, {}", label, sample.label);
      sample.differences = false;
      samples.push_back(std::move(sample));
    }
  };
  add("a quarter",
      unary_samples([](const Var& x) { return scale_gradient(x, 0.25); }, "(0.25 * a + 0.75 * a.detach())"));
  add("flipped", unary_samples(flip_gradient, "(2 * a.detach() - a)"));
  return samples;
});

}  // namespace
}  // namespace tapegrad
