#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples permute_samples("permute", [] {
  const auto sample = [](const Shape& shape, std::vector<int> axes, double scale = 1) {
    return Sample{fmt::format("{} by {}", shape, fmt::join(axes, ", ")),
                  {sample_values(shape, -2 * scale, 2 * scale)},
                  [axes](const std::vector<Var>& in) { return permute(in[0], axes); },
                  fmt::format("a.permute([{}])", fmt::join(axes, ", "))};
  };
  std::vector<Sample> samples = {sample({2, 3, 2, 4}, {0, 2, 1, 3}),
                                 sample({3, 5}, {1, 0}),
                                 sample({2, 3, 4}, {2, 0, 1}),
                                 sample({2, 3, 4}, {2, 1, 0}),
                                 sample({2, 0, 3}, {1, 2, 0}),
                                 sample({1, 4, 1}, {2, 1, 0}),
                                 sample({5}, {0}),
                                 sample({}, {}),
                                 sample({3, 2}, {-1, 0}, 30),
                                 sample({2, 3, 2}, {1, 0, 2}, 0.1)};
  samples.push_back({"transpose",
                     {sample_values({2, 3, 4})},
                     [](const std::vector<Var>& in) { return transpose(in[0]); },
                     "a.mT"});
  samples.push_back({"repeated input",
                     {sample_values({3, 3})},
                     [](const std::vector<Var>& in) { return mul(transpose(in[0]), in[0]); },
                     "a.mT * a"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
