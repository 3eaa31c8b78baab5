#include "broken_rules.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "../../base/error.h"

namespace tapegrad {
namespace {

/// The nodes of a tape up to a loss, read from outside.
class Nodes {
 public:
  explicit Nodes(const Var& loss) : tape_(loss.tape("break_rule")), count_(loss.id().node + 1) {
    for (std::uint32_t i = 0; i < count_; ++i) {
      const Node& n = tape_.node(i);
      owner_.resize(n.first_output + n.output_count, i);
      uses_.resize(owner_.size());
      for (std::uint16_t k = 0; k < n.input_count; ++k) ++uses_[n.inputs[k]];
    }
  }
  std::uint32_t count() const { return count_; }
  const Node& operator[](std::uint32_t i) const { return tape_.node(i); }
  bool runs(std::uint32_t i, std::string_view op) const {
    return tape_.node(i).op != nullptr && tape_.node(i).needs_grad && tape_.node(i).op->name() == op;
  }
  std::uint32_t maker(std::uint32_t i, std::size_t input) const {
    return owner_[tape_.node(i).inputs[input]];
  }
  const TensorView& input(std::uint32_t i, std::size_t k) const {
    return tape_.output(tape_.node(i).inputs[k]);
  }
  const TensorView& result(std::uint32_t i) const { return tape_.node(i).outputs[0]; }
  std::uint32_t uses(std::uint32_t flat) const { return uses_[flat]; }
  bool is_weights(std::uint32_t i) const {
    return runs(i, "masked_softmax") || (runs(i, "softmax") && result(i).shape.rank() > 1);
  }
  /// The op that reads `i`'s result first, or count().
  std::uint32_t reader(std::uint32_t i, std::string_view op) const {
    for (std::uint32_t j = i + 1; j < count_; ++j)
      if (runs(j, op))
        for (std::size_t k = 0; k < tape_.node(j).input_count; ++k)
          if (maker(j, k) == i) return j;
    return count_;
  }

 private:
  const Tape& tape_;
  std::uint32_t count_;
  std::vector<std::uint32_t> owner_, uses_;  // by flat output
};

std::vector<double> elements(const TensorView& x) {
  std::vector<double> all(static_cast<std::size_t>(x.size()));
  dispatch(x.dtype, [&](auto zero) { std::copy_n(x.data<decltype(zero)>(), x.size(), all.begin()); });
  return all;
}
std::vector<double> elements(const Tensor& x) { return elements(x.view()); }

/// Another tensor in the place of `part`.
void replace(Tensor& part, const std::vector<double>& values) {
  const Shape shape = part.shape();
  Tensor changed(shape, part.dtype());
  dispatch(part.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::transform(values.begin(), values.end(), changed.data<T>(),
                   [](double x) { return static_cast<T>(x); });
  });
  part = std::move(changed);
}

/// row(first, last element of each row) of a matrix of `columns`.
template <class Row>
void for_rows(std::size_t size, Index columns, Row row) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::size_t at = 0; at + n <= size; at += n) row(at, at + n);
}

using Break = std::function<void(Step&)>;

/// One kind of mistake: where it fits and what it does there.
struct Kind {
  BrokenRule rule;
  bool (*fits)(const Nodes&, std::uint32_t);
  void (*change)(Step&);
};

void softmax_diagonal_only(Step& step) {
  const std::vector<double> p = elements(step.outputs[0].value());
  std::vector<double> dx = elements(step.output_grads[0]);
  for (std::size_t i = 0; i < dx.size(); ++i) dx[i] *= p[i] * (1 - p[i]);
  replace(step.input_grads[0], dx);
}

void no_scale(Step& step) { replace(step.input_grads[0], elements(step.output_grads[0])); }

/// P once more without the mask, and with it the right formula.
void no_mask(Step& step) {
  std::vector<double> p = elements(step.inputs[0].value()), dx = elements(step.output_grads[0]);
  for_rows(p.size(), step.inputs[0].shape().cols(), [&](std::size_t begin, std::size_t end) {
    const double most = *std::max_element(p.begin() + static_cast<std::ptrdiff_t>(begin),
                                          p.begin() + static_cast<std::ptrdiff_t>(end));
    double total = 0, dot = 0;
    for (std::size_t j = begin; j < end; ++j) total += p[j] = std::exp(p[j] - most);
    for (std::size_t j = begin; j < end; ++j) dot += (p[j] /= total) * dx[j];
    for (std::size_t j = begin; j < end; ++j) dx[j] = p[j] * (dx[j] - dot);
  });
  replace(step.input_grads[0], dx);
}

/// dV = P dO
void no_transpose(Step& step) {
  const std::vector<double> p = elements(step.inputs[0].value()), dy = elements(step.output_grads[0]);
  const auto n = static_cast<std::size_t>(step.inputs[0].shape()[-1]),
             d = static_cast<std::size_t>(step.outputs[0].shape()[-1]);
  std::vector<double> dv(dy.size());
  for (std::size_t head = 0; head * n * n < p.size(); ++head)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < n; ++k)
        for (std::size_t c = 0; c < d; ++c)
          dv[(head * n + i) * d + c] += p[(head * n + i) * n + k] * dy[(head * n + k) * d + c];
  replace(step.input_grads[1], dv);
}

void missing_broadcast_sum(Step& step) {
  std::vector<double> row = elements(step.output_grads[0]);
  row.resize(static_cast<std::size_t>(step.input_grads[2].size()));
  replace(step.input_grads[2], row);
}

void layernorm_without_mean_term(Step& step) {
  const std::vector<double> x = elements(step.inputs[0].value()), dy = elements(step.output_grads[0]);
  std::vector<double> weight(x.size(), 1), dx = elements(step.input_grads[0]);
  if (step.inputs.size() > 1) weight = elements(step.inputs[1].value());
  const std::vector<double> inverse = elements(step.outputs[2].value());  // 1 / deviation of each row
  const Index columns = step.inputs[0].shape().cols();
  for_rows(x.size(), columns, [&](std::size_t begin, std::size_t end) {
    double mean = 0;
    for (std::size_t j = begin; j < end; ++j) mean += dy[j] * weight[step.inputs.size() > 1 ? j - begin : 0];
    mean /= static_cast<double>(columns);
    for (std::size_t j = begin; j < end; ++j)
      dx[j] += mean * inverse[begin / static_cast<std::size_t>(columns)];
  });
  replace(step.input_grads[0], dx);
}

bool holds_masked(const Nodes& nodes, std::uint32_t i) {
  if (!nodes.runs(i, "masked_softmax")) return false;
  const std::vector<double> p = elements(nodes.result(i));
  return std::find(p.begin(), p.end(), 0.0) != p.end();
}

bool scales_scores(const Nodes& nodes, std::uint32_t i) {
  if (!nodes.runs(i, "affine") || !nodes.runs(nodes.maker(i, 0), "matmul")) return false;
  if (elements(nodes.input(i, 0)) == elements(nodes.result(i))) return false;
  return nodes.reader(i, "masked_softmax") < nodes.count() || nodes.reader(i, "softmax") < nodes.count();
}

bool mixes_own_values(const Nodes& nodes, std::uint32_t i) {
  if (!nodes.runs(i, "matmul")) return false;
  const Shape& p = nodes.input(i, 0).shape;
  const std::uint32_t maker = nodes.maker(i, 0);
  const bool dropped = nodes.runs(maker, "dropout");
  return nodes.is_weights(dropped ? nodes.maker(maker, 0) : maker) && p[-1] == p[-2] && p[-1] > 1;
}

bool sums_bias(const Nodes& nodes, std::uint32_t i) {
  return nodes.runs(i, "linear") && nodes[i].input_count == 3 && nodes.result(i).shape.rows() > 1 &&
         nodes.input(i, 2).shape == Shape{nodes.result(i).shape.cols()};
}

bool some_negative(const Nodes& nodes, std::uint32_t i) {
  if (!nodes.runs(i, "relu")) return false;
  const std::vector<double> x = elements(nodes.input(i, 0));
  return std::any_of(x.begin(), x.end(), [](double element) { return element < 0; });
}

/// The first reader of a value that is read more than once: the last to send back to it.
bool shares_input(const Nodes& nodes, std::uint32_t i) {
  const Node& n = nodes[i];
  if (n.op == nullptr || !n.needs_grad || n.input_count == 0 || nodes.uses(n.inputs[0]) < 2) return false;
  const std::uint32_t maker = nodes.maker(i, 0);
  if (nodes[maker].op == nullptr || !nodes[maker].needs_grad) return false;
  for (std::uint32_t j = maker + 1; j < i; ++j)
    for (std::size_t k = 0; k < nodes[j].input_count; ++k)
      if (nodes[j].inputs[k] == n.inputs[0]) return false;
  return std::count(n.inputs, n.inputs + n.input_count, n.inputs[0]) == 1;
}

constexpr std::string_view overwrite = "overwrite-instead-of-add";

const Kind kinds[] = {
    {{"softmax-diagonal-only", "The softmax's Jacobian is taken for its diagonal: dS = P (1 - P) dP"},
     [](const Nodes& nodes, std::uint32_t i) { return nodes.is_weights(i) && nodes.result(i).shape[-1] > 1; },
     softmax_diagonal_only},
    {{"no-scale", "The factor 1 / sqrt(d) of the scores is forgotten on the way back"},
     scales_scores,
     no_scale},
    {{"no-mask", "The softmax's rule computes P again, without the mask"}, holds_masked, no_mask},
    {{"no-transpose", "The gradient of the values is P dO instead of P' dO"}, mixes_own_values, no_transpose},
    {{overwrite,
      "A value that was used several times keeps the last contribution to its gradient instead of the sum"},
     shares_input,
     nullptr},
    {{"missing-broadcast-sum", "A bias that was added to every row gets the gradient of the first row alone"},
     sums_bias,
     missing_broadcast_sum},
    {{"relu-grad-at-negative", "The gradient passes a ReLU where its input is negative, too"},
     some_negative,
     no_scale},
    {{"layernorm-without-mean-term", "LayerNorm's rule leaves out what each element does to the mean"},
     [](const Nodes& nodes, std::uint32_t i) { return nodes.runs(i, "layer_norm"); },
     layernorm_without_mean_term},
};

/// Sends what takes back all that had come, so that the last contribution alone is left.
Break overwriting(const Nodes& nodes, std::uint32_t last) {
  const std::uint32_t value = nodes.maker(last, 0);
  auto come = std::make_shared<std::vector<double>>();
  return [=](Step& step) {
    for (std::size_t k = 0; k < step.inputs.size(); ++k) {
      if (step.inputs[k].id().node != value || !step.input_grads[k]) continue;
      std::vector<double> part = elements(step.input_grads[k]);
      come->resize(part.size());
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (step.node == last)
          part[i] -= (*come)[i];
        else
          (*come)[i] += part[i];
      }
      if (step.node == last) replace(step.input_grads[k], part);
    }
  };
}

}  // namespace

std::span<const BrokenRule> broken_rules() {
  static const std::vector<BrokenRule> all = [] {
    std::vector<BrokenRule> rules;
    for (const Kind& kind : kinds) rules.push_back(kind.rule);
    return rules;
  }();
  return all;
}

const BrokenRule& find_broken_rule(std::string_view name) {
  const BrokenRule* found = nullptr;
  int fitting = 0;
  for (const BrokenRule& rule : broken_rules()) {
    if (rule.name == name) return rule;
    if (name.empty() || !rule.name.starts_with(name)) continue;
    found = &rule;
    ++fitting;
  }
  if (fitting == 1) return *found;
  std::string list;
  for (const BrokenRule& rule : broken_rules()) list += fmt::format("\n  {}: {}", rule.name, rule.mistake);
  throw Error(
      fmt::format("{} rule '{}', expected one of{}", fitting > 1 ? "ambiguous" : "unknown", name, list));
}

std::function<void(Step&)> break_rule(const BrokenRule& rule, const Var& loss) {
  const Kind& kind = *std::find_if(std::begin(kinds), std::end(kinds),
                                   [&](const Kind& k) { return k.rule.name == rule.name; });
  const Nodes nodes(loss);
  std::uint32_t at = nodes.count();
  bool in_decoder = false;
  for (std::uint32_t i = 0; i < nodes.count() && !in_decoder; ++i) {
    if (!kind.fits(nodes, i)) continue;
    in_decoder = nodes[i].path->find("decoder.layers.0") != std::string::npos;
    if (in_decoder || at == nodes.count()) at = i;
  }
  expects(at < nodes.count(), "break_rule: {} fits nowhere in this recording: {}", rule.name, rule.mistake);
  if (rule.name == overwrite) return overwriting(nodes, at);
  return [=, change = kind.change](Step& step) {
    if (step.node == at) change(step);
  };
}

}  // namespace tapegrad
