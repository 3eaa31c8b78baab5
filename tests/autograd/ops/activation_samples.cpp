#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples tanh_samples("tanh", [] { return unary_samples(tanh, "torch.tanh(a)"); });
const OpSamples sigmoid_samples("sigmoid", [] { return unary_samples(sigmoid, "torch.sigmoid(a)"); });
const OpSamples relu_samples("relu", [] { return unary_samples(relu, "F.relu(a)", -2, 2, 0.2); });
const OpSamples gelu_samples("gelu",
                             [] { return unary_samples([](const Var& x) { return gelu(x); }, "F.gelu(a)"); });
const OpSamples gelu_tanh_samples("gelu_tanh", [] {
  return unary_samples([](const Var& x) { return gelu(x, Gelu::tanh); }, "F.gelu(a, approximate='tanh')");
});
const OpSamples silu_samples("silu", [] {
  std::vector<Sample> samples = unary_samples(silu, "F.silu(a)");
  samples.push_back({"more than one block of 256",
                     {sample_values({260}, -2, 2, 61), sample_values({260}, -2, 2, 62)},
                     [](const std::vector<Var>& in) { return silu(in[0]) + in[0] * in[1]; },
                     "F.silu(a) + a * b"});
  return samples;
});
const OpSamples softplus_samples("softplus", [] { return unary_samples(softplus, "F.softplus(a)"); });

}  // namespace
}  // namespace tapegrad
