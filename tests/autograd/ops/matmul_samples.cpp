#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(const Shape& a, const Shape& b, MatmulOptions options = {}, double scale = 1) {
  return {fmt::format("{}{} by {}{}{}", a, options.transpose_a ? "^T" : "", b,
                      options.transpose_b ? "^T" : "", scale == 1 ? "" : fmt::format(", scale {}", scale)),
          {sample_values(a, -2 * scale, 2 * scale, 1), sample_values(b, -2 * scale, 2 * scale, 2)},
          [options](const std::vector<Var>& in) { return matmul(in[0], in[1], options); },
          fmt::format("a{} @ b{}", options.transpose_a ? ".mT" : "", options.transpose_b ? ".mT" : "")};
}

const OpSamples matmul_samples("matmul", [] {
  std::vector<Sample> samples = {
      sample({3, 4}, {4, 5}),
      sample({4, 3}, {4, 5}, {.transpose_a = true}),
      sample({3, 4}, {5, 4}, {.transpose_b = true}),
      sample({4, 3}, {5, 4}, {.transpose_a = true, .transpose_b = true}),
      sample({2, 3, 4}, {4, 2}),
      sample({2, 3, 4}, {2, 4}, {.transpose_b = true}),
      sample({2, 4, 3}, {4, 2}, {.transpose_a = true}),
      sample({3, 4}, {2, 4, 2}),
      sample({2, 1, 2, 3}, {3, 3, 2}),
      sample({2, 1, 3, 2}, {3, 2, 3}, {.transpose_a = true, .transpose_b = true}),
      sample({4}, {4}),
      sample({4}, {2, 4, 3}),
      sample({2, 3, 4}, {4}),
      sample({4}, {3, 4}, {.transpose_b = true}),
      sample({1, 1}, {1, 1}),
      sample({2, 0}, {0, 3}),
      sample({0, 3}, {3, 2}),
      sample({0, 2, 3}, {3, 2}),
      sample({2, 3}, {3, 2}, {}, 0.1),
      sample({2, 3}, {3, 2}, {}, 30),
      sample({17, 9}, {9, 18}),
  };
  samples.push_back({"repeated input",
                     {sample_values({3, 3})},
                     [](const std::vector<Var>& in) { return matmul(in[0], in[0]); },
                     "a @ a"});
  samples.push_back({"repeated input, Gram matrix",
                     {sample_values({2, 3})},
                     [](const std::vector<Var>& in) { return matmul(in[0], in[0], {.transpose_b = true}); },
                     "a @ a.mT"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
