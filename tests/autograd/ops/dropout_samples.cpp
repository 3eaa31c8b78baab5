#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/kernels/dropout.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// 1 where dropout_with(x, p, key) keeps x, 0 elsewhere.
Tensor kept(const Shape& shape, double p, RandomKey key) {
  const Tensor ones = Tensor::full(shape, 1, DType::f64);
  Tensor y(shape, DType::f64);
  kernels::dropout_forward(ones.data<double>(), y.data<double>(), y.size(), p, key);
  return y.to(DType::boolean);
}

const OpSamples dropout_samples("dropout", [] {
  std::vector<Sample> samples =
      unary_samples([](const Var& x) { return dropout_with(x, 0.4, {7}); }, "a * kept / (1 - 0.4)");
  for (Sample& sample : samples) sample.constants = {{"kept", kept(sample.inputs[0].shape(), 0.4, {7})}};
  const char* drawn = "none: PyTorch draws other numbers; the draws of a given key are compared";
  const auto add = [&](const char* label, double p, bool training, const char* torch) {
    samples.push_back({label,
                       {sample_values({3, 5})},
                       [p](const std::vector<Var>& in) { return dropout(in[0], p) * in[0]; },
                       torch});
    samples.back().training = training;
  };
  add("next draw", 0.5, true, drawn);
  add("not training", 0.5, false, "F.dropout(a, 0.5, training=False) * a");
  add("all dropped", 1, true, "F.dropout(a, 1.0) * a");
  add("none dropped", 0, true, "F.dropout(a, 0.0) * a");
  samples.push_back({"two draws",
                     {sample_values({4, 3})},
                     [](const std::vector<Var>& in) { return dropout(dropout(in[0], 0.3), 0.3); },
                     drawn});
  samples.back().training = true;
  return samples;
});

}  // namespace
}  // namespace tapegrad
