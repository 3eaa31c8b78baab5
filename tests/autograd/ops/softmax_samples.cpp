#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

#include <limits>

namespace tapegrad {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// `torch` is a call of PyTorch's with {} for the axis.
std::vector<Sample> row_samples(Var (*f)(const Var&, int), const char* torch) {
  const auto sample = [=](const char* label, Tensor x, int axis) {
    return Sample{label,
                  {std::move(x)},
                  [=](const std::vector<Var>& in) { return f(in[0], axis); },
                  fmt::format(fmt::runtime(torch), axis)};
  };
  const auto x = [](const Shape& shape, double scale = 1) {
    return sample_values(shape, -2 * scale, 2 * scale, 51);
  };
  return {
      sample("matrix", x({3, 4}), -1),
      sample("rank 1", x({5}), 0),
      sample("rank 3", x({2, 3, 5}), 2),
      sample("first axis", x({3, 4}), 0),
      sample("middle axis", x({2, 3, 4}), -2),
      sample("longer than the 16 lanes", x({2, 37}), -1),
      sample("no rows", x({0, 4}), -1),
      sample("no columns", x({3, 0}), 0),
      sample("size-1 axis", x({3, 1}), -1),
      sample("size-1 dimensions", x({1, 3, 1}), 1),
      sample("small magnitude", x({2, 3}, 0.01), -1),
      sample("large magnitude", x({2, 3}, 5), -1),
      sample("far from 0", sample_values({2, 3}, 500, 502, 52), -1),
      {"repeated input",
       {x({2, 3})},
       [f](const std::vector<Var>& in) { return mul(in[0], f(in[0], -1)); },
       "a * " + fmt::format(fmt::runtime(torch), -1)},
  };
}

const OpSamples softmax_samples("softmax", [] { return row_samples(softmax, "torch.softmax(a, {})"); });
const OpSamples log_softmax_samples("log_softmax",
                                    [] { return row_samples(log_softmax, "torch.log_softmax(a, {})"); });
const OpSamples logsumexp_samples("logsumexp", [] {
  std::vector<Sample> samples =
      row_samples([](const Var& x, int axis) { return logsumexp(x, {.axis = axis, .keepdim = true}); },
                  "torch.logsumexp(a, {}, keepdim=True)");
  samples.push_back({"axis dropped",
                     {sample_values({2, 3, 4}, -2, 2, 53)},
                     [](const std::vector<Var>& in) { return logsumexp(in[0], 1); },
                     "torch.logsumexp(a, 1)"});
  const Tensor shift = Tensor::of({{0, 1, -infinity}, {-infinity, -infinity, -infinity}}, DType::f64);
  const Tensor empty = Tensor::of({{0}, {1}}, DType::boolean);
  samples.push_back({"a row of -inf",
                     {sample_values({2, 3}, -2, 2, 54)},
                     [=](const std::vector<Var>& in) {
                       const Var x = in[0] + in[0].tape().constant(shift.to(in[0].dtype()));
                       return masked_fill(logsumexp(x, {.axis = -1, .keepdim = true}), empty, 0);
                     },
                     "torch.logsumexp((a + shift).masked_fill(empty.bool(), 0), -1, keepdim=True)"
                     ".masked_fill(empty.bool(), 0)",
                     {{"shift", shift}, {"empty", empty}}});
  return samples;
});

}  // namespace
}  // namespace tapegrad
