#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(const char* label, const Shape& shape, const Mask& mask, double scale = 1) {
  return {label,
          {sample_values(shape, -2 * scale, 2 * scale, 61)},
          [mask](const std::vector<Var>& in) { return masked_softmax(in[0], mask); },
          "torch.softmax(a.masked_fill(~keep.bool(), -1e30), -1) * keep",
          {{"keep", mask.to_tensor(shape[0], shape[1], shape[2], shape[3])}}};
}

const OpSamples masked_softmax_samples("masked_softmax", [] {
  const Mask causal = Mask::causal(), lengths = Mask::from_lengths(Tensor::ids({2, 4}));
  const Mask keys = Mask::keys(Tensor::of({{1, 0, 1, 1}, {0, 1, 1, 0}}, DType::boolean));
  const Mask dead_row = Mask::keep(Tensor::of({{1, 1, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 0}}, DType::boolean));
  std::vector<Sample> samples = {
      sample("causal", {2, 2, 4, 4}, causal),
      sample("causal, first rows empty", {1, 2, 3, 3}, Mask::causal(-1)),
      sample("lengths", {2, 2, 3, 4}, lengths),
      sample("keys", {2, 2, 3, 4}, keys),
      sample("all together", {2, 2, 4, 4}, causal & lengths & keys),
      sample("row without keys", {2, 1, 3, 4}, dead_row),
      sample("longer than the 16 lanes", {1, 1, 3, 37}, Mask::causal(30)),
      sample("size-1 dimensions", {1, 1, 1, 1}, causal),
      sample("no batch", {0, 2, 3, 3}, causal),
      sample("no keys", {1, 1, 2, 0}, causal),
      sample("small magnitude", {1, 2, 3, 3}, causal, 0.01),
      sample("large magnitude", {1, 2, 3, 3}, causal, 5),
      {"repeated input",
       {sample_values({1, 2, 3, 3}, -2, 2, 62)},
       [=](const std::vector<Var>& in) { return in[0] * masked_softmax(in[0], causal); },
       "a * torch.softmax(a.masked_fill(~keep.bool(), -1e30), -1) * keep",
       {{"keep", causal.to_tensor(1, 2, 3, 3)}}},
  };
  return samples;
});

}  // namespace
}  // namespace tapegrad
