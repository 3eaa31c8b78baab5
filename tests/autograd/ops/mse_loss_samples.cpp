#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples mse_loss_samples("mse_loss", [] {
  const auto sample = [](const char* label, const Shape& shape, double scale = 1) {
    const auto values = [=](std::uint64_t key) { return sample_values(shape, -2 * scale, 2 * scale, key); };
    return Sample{label,
                  {values(61), values(62)},
                  [](const std::vector<Var>& in) { return mse_loss(in[0], in[1]); },
                  "F.mse_loss(a, b)"};
  };
  return std::vector<Sample>{sample("matrix", {3, 4}),
                             sample("rank 0", {}),
                             sample("rank 1", {5}),
                             sample("size-1 dimensions", {1, 3, 1}),
                             sample("longer than the 16 lanes", {2, 37}),
                             sample("small magnitude", {2, 3}, 0.1),
                             sample("large magnitude", {2, 3}, 30),
                             {"repeated input",
                              {sample_values({2, 3}, -2, 2, 63)},
                              [](const std::vector<Var>& in) { return mse_loss(in[0], square(in[0])); },
                              "F.mse_loss(a, a**2)"}};
});

}  // namespace
}  // namespace tapegrad
