#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// Both results count, unless `only` says which one.
struct Use {
  bool normed = true, sum = true;
};

Sample sample(const char* label, const Shape& shape, bool weight, bool bias, Use use = {}, double p = 0,
              double scale = 1) {
  const Index n = shape[-1];
  Sample result;
  result.label = label;
  result.inputs = {sample_values(shape, -2 * scale, 2 * scale, 21),
                   sample_values(shape, -2 * scale, 2 * scale, 22)};
  if (weight) result.inputs.push_back(sample_values({n}, 0.5, 2, 12));
  if (bias) result.inputs.push_back(sample_values({n}, -1, 1, 13));
  result.call = [=](const std::vector<Var>& in) {
    const NormedSum r =
        add_norm({weight ? in[2] : Var(), bias ? in[weight ? 3 : 2] : Var(), 1e-5}, in[0], in[1], p);
    return !use.sum ? r.normed : !use.normed ? r.sum : r.normed * 0.5 + r.sum * r.sum;
  };
  result.training = p > 0;
  const std::string normed =
      fmt::format("F.layer_norm(a + b, a.shape[-1:], {}, {}, 1e-5)", weight ? "c" : "None",
                  !bias    ? "None"
                  : weight ? "d"
                           : "c");
  result.reference = p > 0      ? "none: PyTorch draws other numbers; the draws of a given key are compared"
                     : !use.sum ? normed
                     : !use.normed ? "a + b"
                                   : normed + " * 0.5 + (a + b) ** 2";
  return result;
}

const OpSamples add_layer_norm_samples("add_layer_norm", [] {
  const Use both, normed{true, false}, sum{false, true};
  std::vector<Sample> samples = {
      sample("weight and bias", {3, 4}, true, true),
      sample("the normed result alone", {3, 4}, true, true, normed),
      sample("the sum alone", {3, 4}, true, true, sum),
      sample("rank 3", {2, 3, 5}, true, true),
      sample("rank 1", {6}, true, true),
      sample("no rows", {0, 4}, true, true),
      sample("size-1 rows", {1, 1, 7}, true, true),
      sample("longer than a vector register", {2, 19}, true, true),
      sample("plain", {3, 4}, false, false),
      sample("weight only", {3, 4}, true, false),
      sample("bias only", {3, 4}, false, true),
      sample("dropout", {3, 19}, true, true, both, 0.4),
      sample("dropout, the normed result alone", {3, 8}, true, true, normed, 0.4),
      sample("large magnitude", {2, 6}, true, true, normed, 0, 25),
      sample("small magnitude", {2, 6}, true, true, both, 0, 0.125),
  };
  samples.push_back({"repeated input",
                     {sample_values({4}, -2, 2, 11)},
                     [](const std::vector<Var>& in) {
                       return add_norm({in[0], in[0]}, in[0], in[0]).normed;
                     },
                     "F.layer_norm(a + a, a.shape[-1:], a, a, 1e-5)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
