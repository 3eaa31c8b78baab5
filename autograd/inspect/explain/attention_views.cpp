#include "attention_views.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tapegrad {
namespace {

constexpr const char* value_labels[] = {"query",   "key",     "value",   "scores",
                                        "weights", "dropped", "context", "merged"};

bool moves_only(const RecordedValue& v) {
  return v.op == "reshape" || v.op == "permute" || v.op == "transpose" || v.op == "slice";
}

template <class T>
const T* attribute(const RecordedValue& v, std::string_view name) {
  for (const auto& [key, value] : v.attributes)
    if (key == name) return std::get_if<T>(&value);
  return nullptr;
}

/// Ways through the graph of a recording.
class Paths {
 public:
  explicit Paths(const TapeRecord& tape) : tape_(tape), users_(tape.values.size()) {
    for (const RecordedValue& v : tape.values)
      for (const std::uint32_t input : v.inputs) users_[input].push_back(v.id);
  }
  const RecordedValue& operator[](std::uint32_t id) const { return tape_[id]; }
  DType dtype() const { return tape_.dtype; }
  const std::vector<std::uint32_t>& users(const RecordedValue& v) const { return users_[v.id]; }

  /// Returns the value from which ops that only move elements made `v`.
  const RecordedValue& made_by(const RecordedValue& v) const {
    const RecordedValue* at = &v;
    while (moves_only(*at)) at = &tape_[at->inputs[0]];
    return *at;
  }
  /// The last value that holds v's elements, moved only.
  const RecordedValue& moved(const RecordedValue& v) const {
    const RecordedValue* at = &v;
    while (users(*at).size() == 1 && moves_only(tape_[users(*at)[0]])) at = &tape_[users(*at)[0]];
    return *at;
  }
  const RecordedValue* user(const RecordedValue& v, std::string_view op, std::size_t position) const {
    for (const std::uint32_t id : users(v))
      if (tape_[id].op == op && tape_[id].inputs.size() > position && tape_[id].inputs[position] == v.id)
        return &tape_[id];
    return nullptr;
  }

 private:
  const TapeRecord& tape_;
  std::vector<std::vector<std::uint32_t>> users_;
};

/// Scores as a product, scaled and with a bias: product · scale + bias.
struct Scores {
  const RecordedValue *scores = nullptr, *product = nullptr, *bias = nullptr;
  double scale = 1;
};

/// Back from the softmax's input. A mask written as another op is stepped over: the weights tell what it
/// left.
Scores scores_of(const Paths& paths, const RecordedValue& input) {
  Scores found{.scores = &input};
  const RecordedValue* at = &input;
  if (at->op == "masked_fill") found.scores = at = &paths[at->inputs[0]];
  while (at->op != "matmul") {
    const double* factor = attribute<double>(*at, "scale");
    if (at->op == "affine" && factor != nullptr) {
      found.scale *= *factor;
      at = &paths[at->inputs[0]];
    } else if ((at->op == "mul" || at->op == "div") && paths[at->inputs[1]].value.size() == 1) {
      const double by = paths[at->inputs[1]].value[0];
      found.scale *= at->op == "mul" ? by : 1 / by;
      at = &paths[at->inputs[0]];
    } else if (at->op == "add" && found.bias == nullptr && found.scale == 1) {
      const Scores rest = scores_of(paths, paths[at->inputs[0]]);
      if (rest.product == nullptr || rest.bias != nullptr) return found;
      return {found.scores, rest.product, &paths[at->inputs[1]], rest.scale};
    } else {
      return found;
    }
  }
  found.product = at;
  return found;
}

/// A product of tokens with a weight: x W' + b of `linear`, or x W of `matmul`.
struct Projection {
  const RecordedValue *x, *weight, *bias;
  bool in_by_out;  // the weight is [in, out]
};

std::optional<Projection> projection_of(const Paths& paths, const RecordedValue& v) {
  if (v.op == "linear" && v.inputs.size() >= 2)
    return Projection{&paths[v.inputs[0]], &paths[v.inputs[1]],
                      v.inputs.size() > 2 ? &paths[v.inputs[2]] : nullptr, false};
  const bool* transpose_a = attribute<bool>(v, "transpose_a");
  const bool* transpose_b = attribute<bool>(v, "transpose_b");
  if (v.op != "matmul" || (transpose_a != nullptr && *transpose_a)) return std::nullopt;
  return Projection{&paths[v.inputs[0]], &paths[v.inputs[1]], nullptr,
                    transpose_b == nullptr || !*transpose_b};
}

/// Returns true when row 0 of the last head is row 0 of x times the outputs of the weight from `first` on,
/// plus the bias from `bias_first` on, as exactly as the recording can tell.
bool projects(const Projection& p, Index first, Index bias_first, const RecordedValue& heads,
              Index head_count, DType dtype) {
  const Shape& w = p.weight->shape;
  if (w.rank() != 2) return false;
  const Index in = w[p.in_by_out ? 0 : 1], out = w[p.in_by_out ? 1 : 0], dim = heads.shape[-1];
  const Index own = (head_count - 1) * dim;
  if (p.x->shape[-1] != in || out < first + own + dim) return false;
  if (p.bias != nullptr && p.bias->shape.size() < bias_first + own + dim) return false;
  const double* row = heads.value.data() + (head_count - 1) * heads.shape.size() / head_count;
  for (Index c = 0; c < dim; ++c) {
    const double* column = p.weight->value.data() + (first + own + c) * (p.in_by_out ? 1 : in);
    double sum = p.bias != nullptr ? p.bias->value[static_cast<std::size_t>(bias_first + own + c)] : 0;
    double terms = std::abs(sum);
    for (Index k = 0; k < in; ++k) {
      const double term = p.x->value[static_cast<std::size_t>(k)] * column[k * (p.in_by_out ? out : 1)];
      sum += term;
      terms += std::abs(term);
    }
    const double tolerance = dtype == DType::f64 ? 1e-9 : 1e-5;
    if (!(std::abs(sum - row[c]) <= tolerance * std::max(terms, 1e-3))) return false;
  }
  return true;
}

class AttentionFinder {
 public:
  AttentionFinder(const Paths& paths, const RecordedValue& weights) : paths_(paths), weights_(weights) {
    view_.path = weights.module;
    take("weights", weights);
    const Shape& s = weights.shape;
    view_.heads = s.size() / std::max<Index>(s[-1] * s[-2], 1);
  }

  /// Returns the view, or none; `why` is then the reason if the weights are those of attention.
  std::optional<AttentionView> find(std::string& why) {
    if (!inside()) return std::nullopt;
    const Shape& s = weights_.shape;  // [1, heads, query, key], or without leading axes
    if (s.rank() > 3 && s.size() > s[-3] * s[-2] * s[-1]) {
      why = fmt::format("a batch of {}; explain one example to see its lab",
                        s.size() / (s[-3] * s[-2] * s[-1]));
      return std::nullopt;
    }
    why = "its projections were not found";
    if (s.rank() > 4) return std::nullopt;
    view_.head_dim = value("query").shape[-1];
    const char* const names[] = {"query", "key", "value"};
    for (Index i = 0; i < 3; ++i)
      if (!projection(names[i], i)) return std::nullopt;
    output();
    why = "not all of its gradients were computed";
    for (const auto& [name, id] : view_.values)
      if (paths_[id].gradient.empty() && !name.starts_with("x_") && name != "bias") return std::nullopt;
    mask();
    return view_;
  }

 private:
  void take(const std::string& name, const RecordedValue& v) { view_.values[name] = v.id; }
  const RecordedValue& value(const char* name) const { return paths_[view_.values.at(name)]; }

  /// Scores, their product and the context.
  bool inside() {
    const Scores found = scores_of(paths_, paths_[weights_.inputs[0]]);
    if (found.product == nullptr) return false;
    take("scores", *found.scores);
    view_.scale = found.scale;
    if (found.bias != nullptr) take("bias", *found.bias);
    const RecordedValue& q = paths_[found.product->inputs[0]];
    const RecordedValue* k = &paths_[found.product->inputs[1]];
    const bool* transposed = attribute<bool>(*found.product, "transpose_b");
    if ((transposed == nullptr || !*transposed) && moves_only(*k)) k = &paths_[k->inputs[0]];
    const Shape& s = weights_.shape;
    if (q.shape.rank() < 2 || k->shape.rank() < 2 || q.shape[-2] != s[-2] || k->shape[-2] != s[-1] ||
        k->shape[-1] != q.shape[-1])
      return false;
    take("query", q), take("key", *k);

    const RecordedValue* mixed = &weights_;
    if (const RecordedValue* dropped = paths_.user(weights_, "dropout", 0))
      take("dropped", *(mixed = dropped));
    const RecordedValue* context = paths_.user(*mixed, "matmul", 0);
    if (context == nullptr) return false;
    take("value", paths_[context->inputs[1]]), take("context", *context);
    return value("value").shape.rank() >= 2 && value("value").shape[-2] == s[-1] &&
           value("value").shape[-1] == q.shape[-1];
  }

  /// `third`: the part of a packed weight or bias.
  bool projection(const std::string& name, Index third) {
    const std::optional<Projection> p = projection_of(paths_, paths_.made_by(value(name.c_str())));
    if (!p || (third > 0 && p->in_by_out != view_.in_by_out)) return false;
    view_.in_by_out = p->in_by_out;
    const Index width = view_.heads * view_.head_dim;
    const bool packed = p->weight->shape.rank() == 2 && p->weight->shape[p->in_by_out ? 1 : 0] == 3 * width;
    const bool packed_bias = p->bias != nullptr && p->bias->shape.size() == 3 * width;
    take("x_" + name, *p->x);
    take(packed ? "in_proj_weight" : name.substr(0, 1) + "_proj_weight", *p->weight);
    if (p->bias != nullptr) take(packed_bias ? "in_proj_bias" : name.substr(0, 1) + "_proj_bias", *p->bias);
    return projects(*p, packed ? third * width : 0, packed_bias ? third * width : 0, value(name.c_str()),
                    view_.heads, paths_.dtype());
  }

  void output() {
    const RecordedValue& merged = paths_.moved(value("context"));
    for (const std::uint32_t id : paths_.users(merged)) {
      const std::optional<Projection> p = projection_of(paths_, paths_[id]);
      if (!p || p->x != &merged || p->weight->shape.rank() != 2 || p->in_by_out != view_.in_by_out) continue;
      take("merged", merged), take("output", paths_[id]), take("out_proj_weight", *p->weight);
      if (p->bias != nullptr) take("out_proj_bias", *p->bias);
      return;
    }
  }

  void mask() {
    const auto cells = static_cast<std::size_t>(weights_.shape[-2] * weights_.shape[-1]);
    const auto* keep = attribute<std::vector<std::uint8_t>>(weights_, "keep");
    view_.keep.assign(cells, 0);
    for (std::size_t i = 0; cells > 0 && i < weights_.value.size(); ++i)
      if (keep != nullptr && !keep->empty() && cells % keep->size() == 0 ? (*keep)[i % keep->size()] != 0
          : keep != nullptr && keep->size() == weights_.value.size()     ? (*keep)[i] != 0
                                                                         : weights_.value[i] != 0)
        view_.keep[i % cells] = 1;
    const Index rows = weights_.shape[-2], columns = weights_.shape[-1];
    bool causal = rows == columns && rows > 1;
    for (Index i = 0; causal && i < rows; ++i)
      for (Index j = i + 1; causal && j < columns; ++j)
        causal = view_.keep[static_cast<std::size_t>(i * columns + j)] == 0;
    view_.kind = view_.values.at("x_query") != view_.values.at("x_key") ? "cross"
                 : causal                                               ? "causal"
                                                                        : "self";
  }

  const Paths& paths_;
  const RecordedValue& weights_;
  AttentionView view_;
};

std::vector<std::string> names(Index count, const std::vector<std::string>& first,
                               const std::vector<std::string>& second) {
  for (const auto* tokens : {&first, &second})
    if (static_cast<Index>(tokens->size()) == count) return *tokens;
  std::vector<std::string> numbers;
  for (Index i = 0; i < count; ++i) numbers.push_back(fmt::format("{}", i));
  return numbers;
}

}  // namespace

std::vector<AttentionView> find_attention_views(const TapeRecord& tape,
                                                const std::vector<std::string>& source,
                                                const std::vector<std::string>& target,
                                                std::vector<std::string>* notices) {
  const Paths paths(tape);
  std::vector<AttentionView> views;
  std::map<std::string, int> found;  // views by path
  for (const RecordedValue& weights : tape.values) {
    const Shape& s = weights.shape;
    if (weights.op != "masked_softmax" && weights.op != "softmax") continue;
    if (s.rank() < 2 || s.size() == 0) continue;
    std::string why;
    std::optional<AttentionView> view = AttentionFinder(paths, weights).find(why);
    const std::string path = weights.module.empty() ? "the run" : weights.module;
    if (!view && !why.empty() && notices != nullptr)
      notices->push_back(fmt::format("attention of {}: {}", path, why));
    if (!view) continue;
    if (const int number = ++found[view->path]; number > 1) view->path = fmt::format("{} ({})", path, number);
    const bool decoder = view->path.find("decoder") != std::string::npos, own = view->kind != "cross";
    view->rows = decoder ? names(s[-2], target, source) : names(s[-2], source, target);
    view->columns = decoder && own ? names(s[-1], target, source) : names(s[-1], source, target);
    views.push_back(std::move(*view));
  }
  return views;
}

void label_values(TapeRecord& tape, const std::vector<AttentionView>& views) {
  for (const AttentionView& view : views)
    for (const char* name : value_labels)
      if (const auto at = view.values.find(name);
          at != view.values.end() && tape.values[at->second].label.empty())
        tape.values[at->second].label = name;
}

std::vector<std::uint32_t> attention_values(const std::vector<AttentionView>& views) {
  std::set<std::uint32_t> ids;
  for (const AttentionView& view : views)
    for (const char* name : value_labels)
      if (const auto at = view.values.find(name); at != view.values.end()) ids.insert(at->second);
  return {ids.begin(), ids.end()};
}

}  // namespace tapegrad
