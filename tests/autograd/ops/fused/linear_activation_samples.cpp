#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(std::string label, const Shape& x, Index out, bool bias, Activation activation,
              double scale = 1) {
  Sample result{std::move(label),
                {sample_values(x, -2 * scale, 2 * scale, 1), sample_values({out, x[-1]}, -2, 2, 2)},
                [=](const std::vector<Var>& in) {
                  return linear_activation(in[0], {in[1], bias ? in[2] : Var()}, activation);
                }};
  if (bias) result.inputs.push_back(sample_values({out}, -2 * scale, 2 * scale, 3));
  result.reference = fmt::format("F.{}(F.linear(a, b{}))", activation == Activation::relu ? "relu" : "gelu",
                                 bias ? ", c" : "");
  return result;
}

const OpSamples linear_activation_samples("linear_activation", [] {
  std::vector<Sample> samples;
  for (const Activation activation : {Activation::relu, Activation::gelu}) {
    const std::string name = activation == Activation::relu ? "relu" : "gelu";
    const auto add = [&](const char* label, const Shape& x, Index out, bool bias, double scale = 1) {
      samples.push_back(sample(fmt::format("{}, {}", name, label), x, out, bias, activation, scale));
    };
    add("matrix", {3, 4}, 5, true);
    add("without bias", {3, 4}, 2, false);
    add("sequence", {2, 3, 4}, 3, true);
    add("vector", {4}, 3, true);
    add("no rows of x", {0, 4}, 3, true);
    add("no inputs", {2, 0}, 3, true);
    add("no outputs", {2, 3}, 0, true);
    add("size-1 dimensions", {1, 1}, 1, true);
    add("small magnitude", {2, 3}, 4, true, 0.1);
    add("large magnitude", {2, 3}, 4, true, 4);
    add("beyond one block", {19, 18}, 17, true);
    samples.push_back(
        {name + ", repeated input",
         {sample_values({3, 3})},
         [=](const std::vector<Var>& in) { return linear_activation(in[0], {in[0]}, activation); },
         fmt::format("F.{}(F.linear(a, a))", name)});
    add("several blocks of rows", {270, 2}, 512, true);
    samples.back().differences = false;
    samples.back().reference = "none: too many results for a golden file";
  }
  return samples;
});

}  // namespace
}  // namespace tapegrad
