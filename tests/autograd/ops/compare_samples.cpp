#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Tensor sample_mask(const Shape& shape) {
  const Tensor values = sample_values(shape, -1, 1, 23);
  Tensor mask(shape, DType::boolean);
  for (Index i = 0; i < mask.size(); ++i) mask.data<std::uint8_t>()[i] = values.data<double>()[i] < 0;
  return mask;
}

Sample where_sample(const char* label, const Shape& condition, const Shape& a, const Shape& b,
                    double scale = 1) {
  const Tensor mask = sample_mask(condition);
  const auto call = [mask](const std::vector<Var>& in) { return where(mask, in[0], in[1]); };
  return {label,
          {sample_values(a, -scale, scale, 21), sample_values(b, -scale, scale, 22)},
          call,
          "torch.where(mask, a, b)",
          {{"mask", mask}}};
}

const OpSamples where_samples("where", [] {
  const Tensor mask = sample_mask({2, 3});
  const auto repeated = [mask](const std::vector<Var>& in) { return where(mask, in[0] * in[0], in[0]); };
  return std::vector<Sample>{
      where_sample("equal shapes", {3, 4}, {3, 4}, {3, 4}),
      where_sample("broadcast condition", {3, 1}, {3, 4}, {2, 3, 4}),
      where_sample("condition widens", {2, 3, 4}, {4}, {3, 1}),
      where_sample("all broadcast", {3, 1, 1}, {2, 1}, {1, 4}),
      where_sample("rank 0", {}, {}, {}),
      where_sample("rank 0 against matrix", {2, 3}, {}, {2, 3}),
      where_sample("size-0 dimension", {1}, {2, 0}, {1, 0}),
      where_sample("large magnitude", {2, 3}, {2, 3}, {2, 3}, 1e3),
      where_sample("small magnitude", {2, 3}, {2, 3}, {2, 3}, 1e-2),
      {"repeated input", {sample_values({2, 3})}, repeated, "torch.where(mask, a * a, a)", {{"mask", mask}}},
  };
});

Sample fill_sample(const char* label, const Shape& mask, const Shape& x, double scale = 1) {
  const Tensor filled = sample_mask(mask);
  const auto call = [filled](const std::vector<Var>& in) { return masked_fill(in[0], filled, -1.5); };
  return {
      label, {sample_values(x, -scale, scale, 24)}, call, "a.masked_fill(mask, -1.5)", {{"mask", filled}}};
}

const OpSamples masked_fill_samples("masked_fill", [] {
  const Tensor mask = sample_mask({2, 3});
  const auto repeated = [mask](const std::vector<Var>& in) { return masked_fill(in[0], mask, 2) * in[0]; };
  return std::vector<Sample>{
      fill_sample("equal shapes", {3, 4}, {3, 4}),
      fill_sample("row mask", {4}, {2, 3, 4}),
      fill_sample("column mask", {3, 1}, {2, 3, 4}),
      fill_sample("size-1 dimension", {4}, {3, 1, 4}),
      fill_sample("rank 0", {}, {}),
      fill_sample("rank-0 mask", {}, {2, 3}),
      fill_sample("size-0 dimension", {2, 1}, {2, 0}),
      fill_sample("large magnitude", {2, 3}, {2, 3}, 1e3),
      fill_sample("small magnitude", {2, 3}, {2, 3}, 1e-2),
      {"repeated input", {sample_values({2, 3})}, repeated, "a.masked_fill(mask, 2) * a", {{"mask", mask}}},
  };
});

}  // namespace
}  // namespace tapegrad
