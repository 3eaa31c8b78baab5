#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(const char* label, const Shape& weight, Index length, const Tensor& ids,
              const EmbedOptions& options, std::optional<Index> padding_idx = std::nullopt,
              double scale = 1) {
  Sample result{label,
                {sample_values(weight, -2 * scale, 2 * scale),
                 sample_values({length, weight[1]}, -2 * scale, 2 * scale, 2)},
                [=](const std::vector<Var>& in) {
                  return embed(in[0].tape(), ids, {in[0], padding_idx}, {in[1]}, options);
                }};
  const std::string padding = !padding_idx ? "" : fmt::format(", padding_idx={}", *padding_idx);
  const Index end = options.first + ids.shape()[-1];
  result.reference =
      fmt::format("F.embedding(ids, a{}) * {} + b[{}:{}]", padding, options.scale, options.first, end);
  result.constants = {{"ids", ids}};
  return result;
}

const OpSamples embedding_positions_samples("embedding_positions", [] {
  const Tensor batch = Tensor::ids({{1, 0, 3}, {3, 3, 2}});
  std::vector<Sample> samples = {
      sample("batch", {4, 3}, 3, batch, {.scale = 1.5}),
      sample("longer table", {4, 3}, 7, batch, {.scale = 1.5}),
      sample("later positions", {4, 3}, 7, batch, {.scale = 1.5, .first = 3}),
      sample("a padding row that is not met", {5, 3}, 4, batch, {.scale = -2}, 4),
      sample("one sequence", {4, 3}, 4, Tensor::ids({2, 0, 2, 1}), {.scale = 0.5}),
      sample("wider than a vector register", {3, 21}, 3, Tensor::ids({{2, 0, 2}}), {.scale = 3}),
      sample("no columns", {3, 0}, 3, Tensor::ids({{2, 1}}), {.scale = 2}),
      sample("no tokens", {3, 2}, 3, Tensor({2, 0}, DType::i64), {}),
      sample("no rows", {3, 2}, 3, Tensor({0, 2}, DType::i64), {}),
      sample("size-1 dimensions", {1, 1}, 1, Tensor::ids({{0}}), {.scale = 2}),
      sample("large magnitude", {4, 3}, 3, batch, {.scale = 1.5}, std::nullopt, 30),
      sample("small magnitude", {4, 3}, 3, batch, {.scale = 1.5}, std::nullopt, 0.1),
  };
  samples.push_back(sample("a padding row that is met", {4, 3}, 3, batch, {.scale = 1.5}, 3));
  samples.back().differences = false;
  samples.push_back({"repeated input",
                     {sample_values({4, 3})},
                     [=](const std::vector<Var>& in) {
                       return embed(in[0].tape(), batch, {in[0]}, {in[0]}, {.scale = 1.5});
                     },
                     "F.embedding(ids, a) * 1.5 + a[0:3]",
                     {{"ids", batch}}});
  return samples;
});

}  // namespace
}  // namespace tapegrad
