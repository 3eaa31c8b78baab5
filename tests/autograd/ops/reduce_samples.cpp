#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

using OverAll = Var (*)(const Var&);
using OverAxes = Var (*)(const Var&, const ReduceOptions&);

const char* python(bool value) { return value ? "True" : "False"; }

/// `torch` names PyTorch's function. `low` > 0 for norm, which has a kink at 0. Values are far enough apart
/// for the kinks of max and min.
std::vector<Sample> axis_samples(OverAxes f, const char* torch, double low = -2) {
  const auto along = [=](const char* label, const Shape& shape, int axis, bool keep, double scale = 1) {
    return Sample{label,
                  {sample_values(shape, scale * low, scale * 2, 41)},
                  [=](const std::vector<Var>& in) { return f(in[0], {.axis = axis, .keepdim = keep}); },
                  fmt::format("{}(a, dim={}, keepdim={})", torch, axis, python(keep))};
  };
  return {
      along("last axis", {3, 4}, -1, false),
      along("first axis", {3, 4}, 0, false),
      along("middle axis, kept", {2, 3, 4}, 1, true),
      along("last axis, kept", {2, 3, 4}, -1, true),
      along("rank 1", {5}, 0, false),
      along("longer than the 16 lanes", {2, 37}, 1, false),
      along("no rows", {0, 3}, 1, false),
      along("size-1 axis", {3, 1}, 1, false),
      along("size-1 dimensions", {1, 3, 1}, 1, true),
      along("small magnitude", {2, 3}, -1, false, 0.2),
      along("large magnitude", {2, 3}, -1, false, 100),
      {"repeated input",
       {sample_values({2, 3}, low, 2, 41)},
       [f](const std::vector<Var>& in) { return mul(f(in[0], {.axis = -1, .keepdim = true}), in[0]); },
       fmt::format("{}(a, dim=-1, keepdim=True) * a", torch)},
  };
}

std::vector<Sample> samples_of(OverAll all, OverAxes f, const char* torch) {
  std::vector<Sample> samples = axis_samples(f, torch);
  const auto add = [&](const char* label, const Shape& shape) {
    samples.push_back({label,
                       {sample_values(shape, -2, 2, 42)},
                       [all](const std::vector<Var>& in) { return all(in[0]); },
                       fmt::format("{}(a)", torch)});
  };
  add("everything", {2, 3, 4});
  add("rank 0", {});
  return samples;
}

void add_several_axes(std::vector<Sample>& samples, OverAxes f, const char* torch) {
  const auto add = [&](const char* label, std::initializer_list<int> axes, bool keep) {
    samples.push_back(
        {label,
         {sample_values({2, 3, 4, 2}, -2, 2, 43)},
         [=](const std::vector<Var>& in) { return f(in[0], {.axis = axes, .keepdim = keep}); },
         fmt::format("{}(a, dim=({}), keepdim={})", torch, fmt::join(axes, ", "), python(keep))});
  };
  static constexpr auto some = {0, 2}, more = {3, 1, -2};
  add("axes 0 and 2", some, false);
  add("axes 3, 1 and 2, kept", more, true);
}

const OpSamples sum_samples("sum", [] {
  std::vector<Sample> samples = samples_of(sum, sum, "torch.sum");
  add_several_axes(samples, sum, "torch.sum");
  samples.push_back({"nothing",
                     {Tensor({2, 0}, DType::f64)},
                     [](const std::vector<Var>& in) { return sum(in[0], 1); },
                     "torch.sum(a, dim=1)"});
  return samples;
});
const OpSamples mean_samples("mean", [] {
  std::vector<Sample> samples = samples_of(mean, mean, "torch.mean");
  add_several_axes(samples, mean, "torch.mean");
  samples.push_back({"variance",
                     {sample_values({3, 5, 2}, -2, 2, 44)},
                     [](const std::vector<Var>& in) { return var(in[0], {.axis = 1, .correction = 1}); },
                     "torch.var(a, dim=1, correction=1)"});
  return samples;
});
const OpSamples max_samples("max", [] {
  std::vector<Sample> samples = samples_of(max, max, "torch.amax");
  samples.push_back({"ties, kinks taken out",
                     {Tensor::of({{1, 1}, {2, -1}}, DType::f64)},
                     [](const std::vector<Var>& in) { return max(in[0], 1) + min(in[0], 1); },
                     "torch.amax(a, dim=1) + torch.amin(a, dim=1)"});
  return samples;
});
const OpSamples min_samples("min", [] { return samples_of(min, min, "torch.amin"); });
const OpSamples norm_samples("norm", [] {
  std::vector<Sample> samples = axis_samples(norm, "torch.linalg.vector_norm", 0.5);
  samples.push_back(
      {"0, kink taken out",
       {Tensor::of({{-1.5}, {0}, {0.5}}, DType::f64)},
       [](const std::vector<Var>& in) { return norm(in[0], {.axis = 1, .keepdim = true}) - abs(in[0]); },
       "torch.linalg.vector_norm(a, dim=1, keepdim=True) - torch.abs(a)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
