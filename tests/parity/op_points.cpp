#include <tapegrad/autograd/ops.h>

#include <tests/parity/op_points.h>

namespace tapegrad::test {
namespace {

using Call = Var (*)(const Var&);

Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }

OpPoint at(const char* op, const char* label, Tensor x, Call call, const char* torch) {
  return {op, {label, {std::move(x)}, [=](const std::vector<Var>& in) { return call(in[0]); }, torch}};
}

void add_activations(std::vector<OpPoint>& points) {
  const Tensor wide = f64({{-40, -20, -5}, {-0.5, 0.25, 1}, {5, 20, 40}});
  const auto add = [&](const char* op, Call call, const char* torch) {
    points.push_back(at(op, "far from 0", wide, call, torch));
  };
  add(
      "gelu", [](const Var& x) { return gelu(x); }, "F.gelu(a)");
  add(
      "gelu_tanh", [](const Var& x) { return gelu(x, Gelu::tanh); }, "F.gelu(a, approximate='tanh')");
  add("relu", relu, "F.relu(a)");
  add("tanh", tanh, "torch.tanh(a)");
  add("sigmoid", sigmoid, "torch.sigmoid(a)");
  add("silu", silu, "F.silu(a)");
  // PyTorch takes x itself above a threshold.
  add("softplus", softplus, "F.softplus(a, threshold=100)");
}

void add_kinks(std::vector<OpPoint>& points) {
  const Tensor around = f64({-1, 0, 1, 0});
  points.push_back(at("relu", "at 0", around, relu, "F.relu(a)"));
  points.push_back(at("abs", "at 0", around, abs, "torch.abs(a)"));
  points.push_back(at(
      "clamp", "at its bounds", around, [](const Var& x) { return clamp(x, -1, 0); },
      "torch.clamp(a, -1, 0)"));
  const Tensor other = f64({-1, 2, 0.5, 0});
  points.push_back({"maximum",
                    {"ties",
                     {around, other},
                     [](const std::vector<Var>& in) { return maximum(in[0], in[1]); },
                     "torch.maximum(a, b)"}});
  points.push_back({"minimum",
                    {"ties",
                     {around, other},
                     [](const std::vector<Var>& in) { return minimum(in[0], in[1]); },
                     "torch.minimum(a, b)"}});
  const Tensor ties = f64({{1, 3, 3}, {2, 2, 2}});
  points.push_back(at(
      "max", "ties share", ties, [](const Var& x) { return max(x, 1); }, "torch.amax(a, 1)"));
  points.push_back(at(
      "min", "ties share", ties, [](const Var& x) { return min(x, 1); }, "torch.amin(a, 1)"));
}

void add_rows(std::vector<OpPoint>& points) {
  const Tensor large = sample_values({3, 5}, -600, 600, 61), small = sample_values({3, 8}, -2e-3, 2e-3, 62),
               x = sample_values({3, 8}, -2, 2, 63);
  points.push_back(at(
      "softmax", "far apart", large, [](const Var& a) { return softmax(a); }, "torch.softmax(a, -1)"));
  points.push_back(at(
      "log_softmax", "far apart", large, [](const Var& a) { return log_softmax(a); },
      "torch.log_softmax(a, -1)"));
  points.push_back(at(
      "logsumexp", "far apart", large, [](const Var& a) { return logsumexp(a); }, "torch.logsumexp(a, -1)"));
  points.push_back(at(
      "cross_entropy", "far apart", large,
      [](const Var& a) {
        return cross_entropy(a, Tensor::ids({1, 0, 4}));
      },
      "F.cross_entropy(a, torch.tensor([1, 0, 4]))"));
  points.push_back(at(
      "layer_norm", "rows near eps", small, [](const Var& a) { return layer_norm(a, {}, {}, 1e-5); },
      "F.layer_norm(a, (8,), eps=1e-5)"));
  points.push_back(at(
      "layer_norm", "another eps", x, [](const Var& a) { return layer_norm(a, {}, {}, 0.1); },
      "F.layer_norm(a, (8,), eps=0.1)"));
  points.push_back(at(
      "rms_norm", "another eps", x, [](const Var& a) { return rms_norm(a, {}, 0.1); },
      "F.rms_norm(a, (8,), eps=0.1)"));
}

void add_embedding(std::vector<OpPoint>& points) {
  const Tensor ids = Tensor::ids({{1, 3, 0, 3}, {5, 0, 2, 3}});
  points.push_back({"embedding",
                    {"row without a gradient",
                     {sample_values({6, 3}, -2, 2, 64)},
                     [=](const std::vector<Var>& in) { return embedding(in[0], ids, 0); },
                     "F.embedding(ids, a, padding_idx=0)",
                     {{"ids", ids}}}});
  points.push_back({"embedding_positions",
                    {"row without a gradient",
                     {sample_values({6, 3}, -2, 2, 64), sample_values({5, 3}, -2, 2, 65)},
                     [=](const std::vector<Var>& in) {
                       return embed(in[0].tape(), ids, {in[0], 0}, {in[1]}, {.scale = 1.5});
                     },
                     "F.embedding(ids, a, padding_idx=0) * 1.5 + b[:4]",
                     {{"ids", ids}}}});
}

}  // namespace

std::vector<OpPoint> op_points() {
  std::vector<OpPoint> points;
  add_activations(points);
  add_kinks(points);
  add_rows(points);
  add_embedding(points);
  return points;
}

}  // namespace tapegrad::test
