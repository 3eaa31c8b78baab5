#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

const OpSamples reshape_samples("reshape", [] {
  const auto sample = [](const Shape& from, const Shape& to, double scale = 1) {
    return Sample{fmt::format("{} to {}", from, to),
                  {sample_values(from, -2 * scale, 2 * scale)},
                  [to](const std::vector<Var>& in) { return reshape(in[0], to); },
                  fmt::format("a.reshape({})", to)};
  };
  std::vector<Sample> samples = {sample({3, 4}, {2, 6}),     sample({}, {1}),
                                 sample({1, 1}, {}),         sample({2, 0}, {0, 5}),
                                 sample({1, 6}, {6, 1}, 30), sample({2, 3}, {6}, 0.1)};
  const auto add = [&](const char* label, const Shape& shape, Var (*f)(const Var&), const char* torch) {
    samples.push_back(
        {label, {sample_values(shape)}, [f](const std::vector<Var>& in) { return f(in[0]); }, torch});
  };
  add(
      "flatten", {2, 3, 2}, [](const Var& x) { return flatten(x, 1); }, "a.flatten(1)");
  add(
      "unsqueeze", {2, 3}, [](const Var& x) { return unsqueeze(x, 1); }, "a.unsqueeze(1)");
  add(
      "repeated input", {4, 1}, [](const Var& x) { return mul(reshape(x, {4}), x); }, "a.reshape(4) * a");
  add(
      "squeeze", {2, 1, 3}, [](const Var& x) { return squeeze(x, -2); }, "a.squeeze(-2)");
  return samples;
});

}  // namespace
}  // namespace tapegrad
