#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// Rows must vary: at a constant row with a small eps the second derivative is too large for differences.
/// `torch` is a call of PyTorch's with {0} for the weight and {1} for the bias.
std::vector<Sample> norm_samples(Var (*f)(const Var&, const Var&, const Var&), const char* torch) {
  const auto sample = [=](const char* label, Tensor x, bool weight, bool bias) {
    const Index n = x.shape().cols();
    Sample result{label, {std::move(x)}, [=](const std::vector<Var>& in) {
                    return f(in[0], weight ? in[1] : Var(), bias ? in.back() : Var());
                  }};
    if (weight) result.inputs.push_back(sample_values({n}, 0.5, 1.5, 12));
    if (bias) result.inputs.push_back(sample_values({n}, -1, 1, 13));
    result.reference = fmt::format(fmt::runtime(torch), weight ? "b" : "None",
                                   !bias    ? "None"
                                   : weight ? "c"
                                            : "b");
    return result;
  };
  const auto x = [](const Shape& shape, double scale = 1) {
    return sample_values(shape, -2 * scale, 2 * scale, 11);
  };
  return {
      sample("weight and bias", x({3, 4}), true, true),
      sample("rank 3", x({2, 3, 5}), true, true),
      sample("rank 1", x({6}), true, true),
      sample("no rows", x({0, 4}), true, true),
      sample("size-1 rows", x({1, 1, 7}), true, true),
      sample("longer than a vector register", x({2, 19}), true, true),
      sample("plain", x({3, 4}), false, false),
      sample("weight only", x({3, 4}), true, false),
      sample("bias only", x({3, 4}), false, true),
      sample("large magnitude", x({2, 6}, 50), true, true),
      sample("small magnitude", x({2, 6}, 0.25), true, true),
      {"repeated input",
       {x({4})},
       [f](const std::vector<Var>& in) { return f(in[0], in[0], in[0]); },
       fmt::format(fmt::runtime(torch), "a", "a")},
  };
}

const OpSamples layer_norm_samples("layer_norm", [] {
  return norm_samples(
      [](const Var& x, const Var& weight, const Var& bias) { return layer_norm(x, weight, bias); },
      "F.layer_norm(a, a.shape[-1:], {}, {}, 1e-5)");
});
const OpSamples rms_norm_samples("rms_norm", [] {
  return norm_samples(
      [](const Var& x, const Var& weight, const Var& bias) {
        const Var y = rms_norm(x, weight);
        return bias ? y + bias : y;
      },
      "F.rms_norm(a, a.shape[-1:], {0}, 1e-6) + (0 if {1} is None else {1})");
});

}  // namespace
}  // namespace tapegrad
