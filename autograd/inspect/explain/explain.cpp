#include <algorithm>
#include <cmath>

#include "../record/recorder.h"
#include "../replay/counterfactual.h"
#include "attention_views.h"
#include "broken_rules.h"
#include "explanation.h"
#include "rule_text.h"

namespace tapegrad {
namespace {

constexpr double most_work = 4e12;            // floating-point operations for numerical gradients
constexpr Index runs_per_cell = 8;            // of the five-point stencil, twice
constexpr double least_work_per_value = 2e3;  // overhead of running one op again

/// The number of elements that the work budget can check. It depends on the recording alone, not on the
/// machine.
double affordable_cells(const Tape& tape, const Var& loss) {
  double work = 0;
  for (std::uint32_t i = 0; i <= loss.id().node; ++i) {
    const Node& n = tape.node(i);
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      const double elements = static_cast<double>(n.outputs[k].size());
      const double inner = n.input_count > 0 ? static_cast<double>(tape.output(n.inputs[0]).shape.cols()) : 1;
      if (n.op != nullptr) work += least_work_per_value + 2 * elements * std::max(inner, 1.0);
    }
  }
  return most_work / (static_cast<double>(runs_per_cell) * std::max(work, 1.0));
}

/// The extent of the numerical checks within the work budget.
struct Checks {
  Numeric numeric;
  Index small = 512, samples = 16;
  double cells;
};

Checks plan_checks(const Var& loss, Numeric wanted, std::vector<std::string>& notices) {
  const Tape& tape = loss.tape("explain");
  Checks plan{.numeric = wanted, .cells = affordable_cells(tape, loss)};
  double all = 0, values = 0;
  for (std::uint32_t i = 0; i <= loss.id().node; ++i)
    for (std::uint16_t k = 0; k < tape.node(i).output_count; ++k) {
      all += static_cast<double>(tape.node(i).outputs[k].size());
      ++values;
    }
  if (wanted == Numeric::all && all > plan.cells) {
    plan.numeric = Numeric::sampled;
    notices.push_back(
        "numerical gradients are sampled: checking all elements of a run of this size would take too long");
  }
  if (plan.numeric == Numeric::sampled && values * 64 > plan.cells) {
    plan.samples = std::clamp<Index>(static_cast<Index>(plan.cells / (4 * values)), 1, 16);
    plan.small = plan.samples;
    notices.push_back(
        fmt::format("numerical gradients are checked at {} elements of each value alone: the run is large",
                    plan.samples));
  }
  return plan;
}

/// The values of attention layers whose every element is checked within the budget.
std::vector<std::uint32_t> watched(const TapeRecord& tape, double cells, std::vector<std::string>& notices) {
  std::vector<std::uint32_t> chosen;
  double left = cells / 2;
  const std::vector<AttentionView> views = find_attention_views(tape, {}, {});
  for (const AttentionView& view : views) {
    const std::vector<std::uint32_t> ids = attention_values({view});
    for (const std::uint32_t id : ids) left -= static_cast<double>(tape[id].value.size());
    if (left < 0) {
      notices.push_back("numerical gradients of attention are sampled in some layers: the run is large");
      break;
    }
    chosen.insert(chosen.end(), ids.begin(), ids.end());
  }
  return chosen;
}

/// Finds the cross-entropy of the loss behind ops of one element, such as a factor. Its targets follow from
/// the gradient of the logits, dz = (softmax(z) - target) / count, where no row is all zeros.
std::optional<LossPlace> find_loss(const TapeRecord& tape, std::vector<std::string>& notices) {
  const RecordedValue* at = &tape[tape.loss];
  for (; at->op != "cross_entropy"; at = &tape[at->inputs[0]]) {
    if (at->inputs.size() != 1 || at->value.size() != 1) return std::nullopt;
  }
  const auto none = [&](const char* why) {
    notices.push_back(fmt::format("the step of the loss is left out: {}", why));
    return std::nullopt;
  };
  constexpr const char* other = "the gradient of the logits is not that of a sum or mean of cross-entropies";
  const RecordedValue& logits = tape[at->inputs[0]];
  const auto columns = static_cast<std::size_t>(logits.shape.cols());
  if (logits.gradient.empty() || columns == 0) return none("no gradient reaches the logits");
  double smoothing = 0;
  for (const auto& [name, attribute] : at->attributes)
    if (name == "label_smoothing") smoothing = std::get<double>(attribute);
  const double others = smoothing / static_cast<double>(columns);
  const std::vector<double>& dz = logits.gradient;
  std::vector<double> p(logits.value.size());
  for (std::size_t row = 0; row < p.size(); row += columns) {
    const double* z = &logits.value[row];
    const double most = *std::max_element(z, z + columns);
    double total = 0;
    for (std::size_t j = 0; j < columns; ++j) total += p[row + j] = std::exp(z[j] - most);
    for (std::size_t j = 0; j < columns; ++j) p[row + j] /= total;
  }
  // The largest gradient belongs to a target and determines the count most precisely.
  const bool exact = tape.dtype == DType::f64;
  const auto steepest = static_cast<std::size_t>(std::min_element(dz.begin(), dz.end()) - dz.begin());
  if (dz.empty() || !(dz[steepest] < 0)) return none(other);
  const double divisor = (p[steepest] - (1 - smoothing) - others) / dz[steepest], count = std::round(divisor);
  if (!(count >= 1 && std::abs(divisor - count) <= (exact ? 1e-6 : 1e-3) * divisor)) return none(other);
  LossPlace place{.logits = logits.id, .targets = {}, .count = static_cast<Index>(count)};
  for (std::size_t row = 0; row < p.size(); row += columns) {
    if (std::all_of(&dz[row], &dz[row] + columns, [](double x) { return x == 0; })) {
      place.targets.push_back(-1);
      continue;
    }
    std::size_t target = 0;
    for (std::size_t j = 0; j < columns; ++j)
      if (p[row + j] - count * dz[row + j] > p[row + target] - count * dz[row + target]) target = j;
    for (std::size_t j = 0; j < columns; ++j) {
      const double wanted = (j == target ? 1 - smoothing : 0) + others;
      if (!(std::abs((p[row + j] - wanted) - count * dz[row + j]) <= (exact ? 1e-9 : 1e-5)))
        return none(other);
    }
    place.targets.push_back(static_cast<Index>(target));
  }
  return place;
}

void take_rules(Explanation& what, const Tape& tape) {
  std::map<std::string, std::optional<RuleText>> known;
  for (RecordedValue& v : what.tape.values) {
    if (v.rule.empty()) continue;
    auto [at, uninitialized] = known.try_emplace(v.rule);
    if (uninitialized) at->second = find_rule(tape.node(v.node).op->formula().where);
    if (!at->second) continue;
    v.rule = at->second->place;
    what.rules.emplace(v.rule, at->second->text);
  }
}

void take_updates(Explanation& what, const ExplainOptions& options) {
  constexpr double learning_rate = 0.1;
  what.optimizer =
      options.update ? options.optimizer : fmt::format("gradient descent, learning rate {}", learning_rate);
  for (const RecordedValue& v : what.tape.values) {
    if (!v.parameter || v.gradient.empty()) continue;
    ParameterUpdate update{v.label, v.id, options.update ? options.update(v) : v.gradient};
    expects(update.update.size() == v.value.size(),
            "explain: update(parameter) gave {} values for '{}' of {} values, shape {}", update.update.size(),
            v.label, v.value.size(), v.shape);
    if (!options.update)
      for (double& x : update.update) x *= -learning_rate;
    what.parameters.push_back(std::move(update));
  }
}

/// Replays the run with each head's context and each source token's embedding set to zero, except for nodes
/// `behind` a checkpoint.
void take_what_ifs(Explanation& what, const Var& loss, const std::vector<bool>& behind) {
  Tape& tape = loss.tape("explain");
  const Tape::Mark before = tape.mark();
  const Gradients gradients = tape.backward(loss);
  const double recorded = what.tape[what.tape.loss].value[0];
  const auto ask = [&](std::string title, const std::string& path, const Var& x, const Tensor& value) {
    if (behind[x.id().node]) return;
    const Counterfactual found = what_if(loss, gradients, x, value);
    // A loss in f32 is rounded; only the change is exact.
    const double changed = what.tape.dtype == DType::f64 ? found.changed_loss : recorded + found.change;
    what.what_ifs.push_back({std::move(title), path, changed, found.change, found.predicted});
  };
  const auto var = [&](std::uint32_t id) { return tape.handle(what.tape[id].node, what.tape[id].output); };
  for (const AttentionView& view : what.attention_views) {
    const Var context = var(view.values.at("context"));
    if (context.rank() >= 3)
      for (Index head = 0; head < view.heads; ++head)
        ask(fmt::format("without head {}", head + 1), view.path, context, without_head(context, head));
  }
  const auto embedded =
      std::find_if(what.tape.values.begin(), what.tape.values.end(), [&](const RecordedValue& v) {
        return v.op == "embedding" && !v.gradient.empty() && !what.source.empty() && v.shape.rank() >= 2 &&
               v.shape.rows() == static_cast<Index>(what.source.size());
      });  // the source is read first
  if (embedded != what.tape.values.end()) {
    const Var x = var(embedded->id);
    for (std::size_t i = 0; i < what.source.size(); ++i)
      ask(fmt::format("without source token {}, {}", i + 1, what.source[i]), embedded->module, x,
          without_token(x, 0, static_cast<Index>(i)));
  }
  tape.rewind(before);
}

}  // namespace

Explanation explain(const Var& loss, const ExplainOptions& options) {
  Tape& tape = loss.tape("explain");
  const auto say = [&](const char* what) {
    if (options.progress) options.progress(what);
  };
  const auto quiet = tape.observers().mute_gradients();
  Explanation what;
  what.title = options.title;
  what.model = options.model;
  what.source = options.source;
  what.target = options.target;
  what.label = options.label;
  what.target_vocabulary = options.target_vocabulary;
  const Checks plan = plan_checks(loss, options.numeric, what.notices);
  RecordOptions recording{
      .numeric = plan.numeric, .time = options.time, .small = plan.small, .samples = plan.samples};
  recording.watch = [&](const TapeRecord& taken) {
    say("checking gradients by finite differences");
    return watched(taken, plan.cells, what.notices);
  };
  if (!options.broken.empty()) {
    const BrokenRule& rule = find_broken_rule(options.broken);
    recording.intervene = break_rule(rule, loss);
    what.broken = rule.name;
  }
  const std::vector<bool> behind = behind_checkpoint(loss);
  if (std::find(behind.begin(), behind.end(), true) != behind.end())
    what.notices.push_back(
        "numerical gradients and what-ifs for which a checkpoint would have to run are left out: record "
        "without checkpoint() to see them");
  say("walking back");
  what.tape = record(loss, recording);
  what.attention_views = find_attention_views(what.tape, what.source, what.target, &what.notices);
  label_values(what.tape, what.attention_views);
  const bool hidden = std::any_of(what.tape.values.begin(), what.tape.values.end(),
                                  [](const RecordedValue& v) { return v.op.starts_with("attention"); });
  if (hidden)
    what.notices.push_back(
        "attention was recorded as one fused op: record with .show_parts = true to see inside");
  std::vector<std::string> unexpected;  // of a rule that is broken on purpose
  what.output = find_loss(what.tape, options.broken.empty() ? what.notices : unexpected);
  take_rules(what, tape);
  take_updates(what, options);
  if (options.what_ifs) {
    say("asking what if");
    take_what_ifs(what, loss, behind);
  }
  return what;
}

}  // namespace tapegrad
