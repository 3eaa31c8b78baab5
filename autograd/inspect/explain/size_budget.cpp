#include "size_budget.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tapegrad {
namespace {

constexpr std::size_t small = 64, bytes_of_summary = 120;

/// Fills a page up to a number of bytes. Costs are estimated from above: equal arrays count twice.
class Filler {
 public:
  Filler(const Explanation& what, std::size_t bytes)
      : what_(what), left_(bytes), cost_(what.tape.values.size()), parts_cost_(cost_.size()) {
    kept_.values.assign(what.tape.values.size(), false);
    kept_.parts.assign(what.tape.values.size(), false);
    kept_.updates.assign(what.parameters.size(), false);
    kept_.attention_views.assign(what.attention_views.size(), false);
    std::set<std::uint32_t> exact;
    for (const AttentionView& view : what.attention_views)
      for (const auto& [name, id] : view.values)
        if (!name.ends_with("_weight")) exact.insert(id);
    std::vector<std::size_t> parts(cost_.size(), 0), numbers(cost_.size(), 0);
    for (const RecordedValue& v : what.tape.values)
      for (const RecordedPart& part : v.input_grads) {
        ++parts[part.to];
        numbers[part.to] += part.values.size();
      }
    for (const RecordedValue& v : what.tape.values) {
      // A single part equals the gradient.
      parts_cost_[v.id] =
          parts[v.id] > 1 ? bytes_of(numbers[v.id], exact.contains(v.id)) + 60 * parts[v.id] : 0;
      cost_[v.id] = bytes_of(v.value.size() + v.gradient.size(), exact.contains(v.id));
      if (cost_[v.id] <= bytes_of_summary) cost_[v.id] = 0;  // the summary costs no less
    }
    kept_.values[what.tape.loss] = kept_.parts[what.tape.loss] = true;
  }

  SizeBudget fill() {
    if (what_.output) take(what_.output->logits);
    const std::vector<std::size_t> first = first_views();
    for (const std::size_t view : first) take_view(view);
    const std::vector<std::uint32_t> ordered = by_size();
    for (const std::uint32_t id : ordered)
      if (what_.tape[id].value.size() <= small) take(id);
    for (const std::size_t view : first) take_weights(view);
    for (std::size_t view = 0; view < what_.attention_views.size(); ++view) take_view(view);
    for (std::size_t view = 0; view < what_.attention_views.size(); ++view) take_weights(view);
    for (const std::uint32_t id : ordered) take(id);
    take_updates();
    for (const std::uint32_t id : ordered)
      if (kept_.values[id] && !kept_.parts[id] && pay(parts_cost_[id])) kept_.parts[id] = true;
    return kept_;
  }

 private:
  static std::size_t bytes_of(std::size_t numbers, bool exact) {
    return (numbers * (exact ? sizeof(double) : sizeof(float)) + 2) / 3 * 4;
  }

  bool pay(std::size_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }

  void take(std::uint32_t id) {
    if (!kept_.values[id] && pay(cost_[id] + parts_cost_[id])) kept_.values[id] = kept_.parts[id] = true;
  }

  void take_view(std::size_t number) {
    if (kept_.attention_views[number]) return;
    const AttentionView& view = what_.attention_views[number];
    std::set<std::uint32_t> wanted;
    for (const auto& [name, id] : view.values)
      if (!is_projection(name) && !kept_.values[id]) wanted.insert(id);
    std::size_t bytes = 1000 + 2 * view.keep.size();
    for (const auto* tokens : {&view.rows, &view.columns})
      for (const std::string& token : *tokens) bytes += token.size() + 3;
    for (const std::uint32_t id : wanted) bytes += cost_[id] + parts_cost_[id];
    if (!pay(bytes)) return;
    for (const std::uint32_t id : wanted) kept_.values[id] = kept_.parts[id] = true;
    kept_.attention_views[number] = true;
  }

  void take_weights(std::size_t number) {
    if (!kept_.attention_views[number]) return;
    for (const auto& [name, id] : what_.attention_views[number].values)
      if (is_projection(name) && !kept_.values[id] && pay(cost_[id])) {
        kept_.values[id] = true;
        kept_.parts[id] = parts_cost_[id] == 0;
      }
  }

  void take_updates() {
    for (std::size_t i = 0; i < what_.parameters.size(); ++i) {
      const ParameterUpdate& p = what_.parameters[i];
      if (kept_.values[p.value] && pay(bytes_of(p.update.size(), false) + 30)) kept_.updates[i] = true;
    }
  }

  /// The attention layers in the module of the first self-attention and in that of the first attention of
  /// another kind: the first encoder layer and the first decoder layer.
  std::vector<std::size_t> first_views() const {
    const auto layer = [&](std::size_t i) {
      const std::string& path = what_.attention_views[i].path;
      return path.substr(0, path.rfind('.') == path.npos ? 0 : path.rfind('.'));
    };
    std::vector<std::string> layers;
    for (const bool self : {true, false})
      for (std::size_t i = 0; i < what_.attention_views.size(); ++i)
        if ((what_.attention_views[i].kind == "self") == self) {
          layers.push_back(layer(i));
          break;
        }
    std::vector<std::size_t> views;
    for (std::size_t i = 0; i < what_.attention_views.size(); ++i)
      if (std::find(layers.begin(), layers.end(), layer(i)) != layers.end()) views.push_back(i);
    return views;
  }

  std::vector<std::uint32_t> by_size() const {
    std::vector<std::uint32_t> ids;
    for (const RecordedValue& v : what_.tape.values) ids.push_back(v.id);
    std::stable_sort(ids.begin(), ids.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return cost_[a] < cost_[b]; });
    return ids;
  }

  const Explanation& what_;
  std::size_t left_;
  std::vector<std::size_t> cost_, parts_cost_;  // bytes of a value with its gradient, and of its parts
  SizeBudget kept_;
};

}  // namespace

std::size_t SizeBudget::left_out() const {
  return static_cast<std::size_t>(std::count(values.begin(), values.end(), false));
}

SizeBudget keep_arrays(const Explanation& what, std::size_t bytes) { return Filler(what, bytes).fill(); }

bool is_projection(const std::string& name) {
  return name.ends_with("proj_weight") || name.ends_with("proj_bias");
}

ArraySummary summary_of(const std::vector<double>& values) {
  ArraySummary found;
  double sum = 0, squares = 0, count = 0;
  for (const double x : values) {
    if (!std::isfinite(x)) {
      found.finite = false;
      continue;
    }
    found.min = count == 0 ? x : std::min(found.min, x);
    found.max = count == 0 ? x : std::max(found.max, x);
    sum += x;
    squares += x * x;
    ++count;
  }
  found.mean = count == 0 ? 0 : sum / count;
  found.norm = std::sqrt(squares);
  return found;
}

}  // namespace tapegrad
