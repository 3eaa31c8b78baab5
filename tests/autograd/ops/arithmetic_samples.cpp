#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples add_samples("add", [] { return binary_samples(add, "a + b"); });
const OpSamples sub_samples("sub", [] { return binary_samples(sub, "a - b"); });
const OpSamples mul_samples("mul", [] { return binary_samples(mul, "a * b"); });
const OpSamples div_samples("div", [] { return binary_samples(div, "a / b", 0.5, 2); });
/// `torch` is PyTorch's name for f.
std::vector<Sample> extremum_samples(Var (*f)(const Var&, const Var&), const char* torch) {
  std::vector<Sample> samples = binary_samples(f, fmt::format("{}(a, b)", torch), -2, 2, true);
  const Tensor column = Tensor::of({{0}, {1.5}, {-1}}, DType::f64),
               row = Tensor::of({0.5, 2.5, -2, -0.5}, DType::f64);
  samples.push_back({"either larger, column and row",
                     {column, row},
                     [f](const std::vector<Var>& in) { return f(in[0], in[1]); },
                     fmt::format("{}(a, b)", torch)});
  samples.push_back({"either larger, row and column",
                     {row, column},
                     [f](const std::vector<Var>& in) { return f(in[0], in[1]); },
                     fmt::format("{}(a, b)", torch)});
  return samples;
}

const OpSamples maximum_samples("maximum", [] {
  std::vector<Sample> samples = extremum_samples(maximum, "torch.maximum");
  samples.push_back({"ties, kinks taken out",
                     {Tensor::of({1, -2, 0.5}, DType::f64), Tensor::of({1, -2, 1.5}, DType::f64)},
                     [](const std::vector<Var>& in) { return maximum(in[0], in[1]) + minimum(in[0], in[1]); },
                     "torch.maximum(a, b) + torch.minimum(a, b)"});
  return samples;
});
const OpSamples minimum_samples("minimum", [] { return extremum_samples(minimum, "torch.minimum"); });
const OpSamples affine_samples("affine", [] {
  return unary_samples([](const Var& x) { return affine(x, -1.5, 0.25); }, "-1.5 * a + 0.25");
});

/// `torch` is PyTorch's name for f.
std::vector<Sample> shape_samples(Var (*f)(const Var&, const Shape&), const char* torch, bool widen) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{3, 4}, {3, 4}}, {{4}, {3, 4}}, {{3, 1}, {3, 4}}, {{}, {2, 3}}, {{2, 1, 3}, {2, 4, 3}},
      {{1, 0}, {3, 0}}, {{1}, {0}},    {{}, {}},         {{3}, {1, 3}}};
  std::vector<Sample> samples;
  for (const auto& [narrow, wide] : cases) {
    const Shape from = widen ? narrow : wide, to = widen ? wide : narrow;
    samples.push_back({fmt::format("{} to {}", from, to),
                       {sample_values(from)},
                       [=](const std::vector<Var>& in) { return f(in[0], to); },
                       fmt::format("a.{}({})", torch, to)});
  }
  const Shape from = widen ? Shape{3} : Shape{2, 3}, to = widen ? Shape{2, 3} : Shape{3};
  const auto call = [=](const std::vector<Var>& in) { return f(in[0], to); };
  const std::string there = fmt::format("a.{}({})", torch, to);
  samples.push_back({"small magnitude", {sample_values(from, -0.2, 0.2)}, call, there});
  samples.push_back({"large magnitude", {sample_values(from, -60, 60)}, call, there});
  samples.push_back({"repeated input",
                     {sample_values(from)},
                     [=](const std::vector<Var>& in) { return mul(f(in[0], to), in[0]); },
                     there + " * a"});
  return samples;
}

const OpSamples broadcast_to_samples("broadcast_to",
                                     [] { return shape_samples(broadcast_to, "broadcast_to", true); });
const OpSamples sum_to_samples("sum_to", [] { return shape_samples(sum_to, "sum_to_size", false); });

}  // namespace
}  // namespace tapegrad
