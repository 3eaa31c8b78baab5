#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

Sample sample(std::string label, const Shape& x, Index out, bool bias, Index begin, Index rows,
              double scale = 1) {
  Sample result{
      std::move(label),
      {sample_values(x, -2 * scale, 2 * scale, 1), sample_values({out, x[-1]}, -2 * scale, 2 * scale, 2)},
      [=](const std::vector<Var>& in) {
        const Var b = bias ? in[2] : Var();
        return rows < 0 ? linear(in[0], in[1], b)
                        : linear(in[0], tapegrad::rows(in[1], begin, rows), tapegrad::rows(b, begin, rows));
      }};
  const std::string part = rows < 0 ? "" : fmt::format("[{}:{}]", begin, begin + rows);
  result.reference = fmt::format("F.linear(a, b{}{})", part, bias ? ", c" + part : "");
  if (bias) result.inputs.push_back(sample_values({out}, -2 * scale, 2 * scale, 3));
  return result;
}

const OpSamples linear_samples("linear", [] {
  std::vector<Sample> samples = {sample("matrix", {3, 4}, 5, true, 0, -1),
                                 sample("without bias", {3, 4}, 2, false, 0, -1),
                                 sample("sequence", {2, 3, 4}, 3, true, 0, -1),
                                 sample("vector", {4}, 3, true, 0, -1),
                                 sample("no rows of x", {0, 4}, 3, true, 0, -1),
                                 sample("no inputs", {2, 0}, 3, true, 0, -1),
                                 sample("no outputs", {2, 3}, 0, true, 0, -1),
                                 sample("size-1 dimensions", {1, 1}, 1, true, 0, -1),
                                 sample("first rows", {2, 3}, 6, true, 0, 2),
                                 sample("middle rows", {2, 2, 3}, 6, true, 2, 2),
                                 sample("last rows, no bias", {2, 3}, 6, false, 4, 2),
                                 sample("an empty range", {2, 3}, 4, true, 4, 0),
                                 sample("small magnitude", {2, 3}, 4, true, 0, -1, 0.1),
                                 sample("large magnitude", {2, 3}, 4, true, 0, -1, 30),
                                 sample("beyond one block", {19, 18}, 17, true, 0, -1)};
  samples.push_back(sample("many blocks", {150, 70}, 90, true, 0, -1));
  samples.back().differences = false;
  samples.back().reference = "none: too many results for a golden file";
  samples.push_back({"repeated input",
                     {sample_values({3, 3})},
                     [](const std::vector<Var>& in) { return linear(in[0], in[0]); },
                     "F.linear(a, a)"});
  samples.push_back({"part of a bias",
                     {sample_values({2, 3}), sample_values({2, 3}, -2, 2, 2), sample_values({5}, -2, 2, 3)},
                     [](const std::vector<Var>& in) { return linear(in[0], in[1], rows(in[2], 2, 2)); },
                     "F.linear(a, b, c[2:4])"});
  samples.push_back({"packed projection",
                     {sample_values({2, 3}), sample_values({6, 3}, -2, 2, 2)},
                     [](const std::vector<Var>& in) {
                       return linear(in[0], rows(in[1], 0, 3)) * linear(in[0], rows(in[1], 3, 3));
                     },
                     "F.linear(a, b[:3]) * F.linear(a, b[3:])"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
