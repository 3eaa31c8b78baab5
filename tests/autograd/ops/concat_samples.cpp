#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(std::string label, const std::vector<Shape>& shapes, int axis, bool stacked, double scale = 1) {
  Sample result{std::move(label), {}, [=](const std::vector<Var>& in) {
                  return stacked ? stack(in, axis) : concat(in, axis);
                }};
  std::string parts;
  for (const Shape& shape : shapes) {
    parts += fmt::format("{}, ", static_cast<char>('a' + result.inputs.size()));
    result.inputs.push_back(sample_values(shape, -2 * scale, 2 * scale, 1 + result.inputs.size()));
  }
  result.reference = fmt::format("torch.{}(({}), {})", stacked ? "stack" : "cat", parts, axis);
  return result;
}

const OpSamples concat_samples("concat", [] {
  std::vector<Sample> samples = {sample("rows", {{2, 3}, {1, 3}}, 0, false),
                                 sample("columns", {{2, 3}, {2, 1}, {2, 2}}, -1, false),
                                 sample("middle axis", {{2, 1, 3}, {2, 2, 3}}, 1, false),
                                 sample("one part", {{2, 2}}, 0, false),
                                 sample("an empty part", {{2, 0}, {2, 3}}, 1, false),
                                 sample("small magnitude", {{3}, {2}}, 0, false, 0.1),
                                 sample("large magnitude", {{2}, {3}}, 0, false, 30)};
  samples.push_back({"repeated input",
                     {sample_values({2, 2})},
                     [](const std::vector<Var>& in) {
                       return concat({in[0], in[0]}, 1);
                     },
                     "torch.cat((a, a), 1)"});
  samples.push_back({"split and joined in another order",
                     {sample_values({2, 6})},
                     [](const std::vector<Var>& in) {
                       const VarList parts = split(in[0], {1, 3, 2}, 1);
                       return concat({parts[2], parts[0], parts[1]}, 1);
                     },
                     "(lambda p: torch.cat((p[2], p[0], p[1]), 1))(a.split((1, 3, 2), 1))"});
  samples.push_back({"chunks",
                     {sample_values({4, 2})},
                     [](const std::vector<Var>& in) {
                       const VarList parts = chunk(in[0], 2, 0);
                       return concat({parts[1], parts[0]}, 1);
                     },
                     "torch.cat(a.chunk(2, 0)[::-1], 1)"});
  return samples;
});

const OpSamples stack_samples("stack", [] {
  std::vector<Sample> samples = {sample("front", {{2, 3}, {2, 3}, {2, 3}}, 0, true),
                                 sample("back", {{2, 3}, {2, 3}}, -1, true),
                                 sample("middle", {{2, 3}, {2, 3}}, 1, true),
                                 sample("rank 0", {{}, {}}, 0, true),
                                 sample("size-0 dimension", {{0, 2}, {0, 2}}, 1, true),
                                 sample("size-1 dimensions", {{1, 3}, {1, 3}}, 1, true),
                                 sample("small magnitude", {{3}, {3}}, 0, true, 0.1),
                                 sample("large magnitude", {{3}, {3}}, 0, true, 30)};
  samples.push_back({"repeated input",
                     {sample_values({2})},
                     [](const std::vector<Var>& in) {
                       return stack({in[0], in[0]}, 1);
                     },
                     "torch.stack((a, a), 1)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
