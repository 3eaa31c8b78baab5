// Explanation -> JSON, schema tape/1.
#include "explanation.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "../page/json_text.h"
#include "json_blob.h"
#include "size_budget.h"

namespace tapegrad {
namespace {

/// FNV-1a; the page computes it again to detect changed numbers.
std::string fingerprint(const std::string& text) {
  std::uint32_t hash = 0x811c9dc5;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  return fmt::format("{:08x}", hash);
}

/// The reductions of a page that would be too large.
struct Level {
  bool rounded;                      // values outside attention views and checks are stored in f32
  Numeric checks;                    // which checks are kept
  const SizeBudget* kept = nullptr;  // which arrays are kept; null: all
};
constexpr Level levels[] = {
    {false, Numeric::all}, {true, Numeric::all}, {true, Numeric::sampled}, {true, Numeric::none}};

class Writer {
 public:
  Writer(const Explanation& what, const PageOptions& options, const Level& level)
      : what_(what), options_(options), level_(level), arrays_(what.tape.dtype == DType::f32) {
    for (const AttentionView& view : what.attention_views)
      for (const auto& [name, id] : view.values)
        if (level.kept == nullptr || !name.ends_with("proj_weight")) exact_.insert(id);
    if (what.output) exact_.insert(what.output->logits);
    // The gradient of a key's bias is 0 up to rounding, so the values that it sums stay exact too.
    for (const RecordedValue& v : what.tape.values)
      for (const std::uint32_t input : v.inputs)
        if (what.tape[input].parameter && exact_.contains(input)) exact_.insert(v.id);
  }

  std::string write() {
    json_.open('{').key("schema").string("tape/1");
    values();
    order();
    attention_views();
    output();
    parameters();
    what_ifs();
    json_.key("rules").open('{');
    for (const auto& [place, text] : what_.rules) json_.key(place).string(text);
    json_.close('}');
    tokens();
    json_.key("blob").string(arrays_.text64()).key("blob32").string(arrays_.text32());
    meta();
    // The last key is a fingerprint of everything before it, which reveals changed numbers.
    return json_.text() + fmt::format(",\"fingerprint\":\"{}\"}}", fingerprint(json_.text()));
  }

 private:
  void place(const std::vector<double>& values, bool exact = true) {
    const auto [offset, length, f32] = arrays_.put(values, exact || !level_.rounded);
    json_.open('[').integer(static_cast<Index>(offset)).integer(static_cast<Index>(length));
    if (f32) json_.string("f32");
    json_.close(']');
  }
  bool exact(const RecordedValue& v) const { return exact_.contains(v.id) || v.id == what_.tape.loss; }
  bool kept(std::uint32_t id) const { return level_.kept == nullptr || level_.kept->values[id]; }
  /// Writes the summary that replaces an array, to six digits.
  void summary(const std::vector<double>& values) {
    const ArraySummary found = summary_of(values);
    const auto number = [&](const char* name, double x) {
      json_.key(name).number(std::strtod(fmt::format("{:.6g}", x).c_str(), nullptr));
    };
    json_.open('{');
    number("min", found.min);
    number("max", found.max);
    number("mean", found.mean);
    number("norm", found.norm);
    json_.key("finite").boolean(found.finite).close('}');
  }
  bool shown(const RecordedCheck& check) const {
    if (check.values.empty() || level_.checks == Numeric::none) return false;
    return level_.checks == Numeric::all || check.cells.empty();
  }

  void values() {
    json_.key("nodes").open('[');
    for (const RecordedValue& v : what_.tape.values) value(v);
    json_.close(']');
  }

  void value(const RecordedValue& v) {
    json_.open('{').key("id").integer(v.id).key("op").string(v.op).key("module").string(v.module);
    json_.key("label").string(v.label).key("formula").string(v.formula);
    json_.key("shape").integers(v.shape).key("inputs").integers(v.inputs).key("attrs").open('{');
    for (const auto& [name, attribute] : v.attributes) {
      json_.key(name);
      if (const bool* flag = std::get_if<bool>(&attribute))
        json_.boolean(*flag);
      else if (const double* number = std::get_if<double>(&attribute))
        json_.number(*number);
      else if (const std::string* text = std::get_if<std::string>(&attribute))
        json_.string(*text);
      else
        json_.integers(std::get<std::vector<std::uint8_t>>(attribute));
    }
    json_.close('}').key("output").integer(v.output).key("val");
    if (kept(v.id)) {
      place(v.value, exact(v));
      json_.key("grad");
      v.gradient.empty() && !v.value.empty() ? void(json_.null())
                                             : place(v.gradient, exact(v) || shown(v.check));
    } else {
      json_.null().key("grad").null().key("summary").open('{').key("value");
      summary(v.value);
      json_.key("gradient");
      v.gradient.empty() ? void(json_.null()) : summary(v.gradient);
      json_.close('}');
    }
    parts(v);
    check(v);
    const auto time = [&](double ns) { ns > 0 ? void(json_.number(ns)) : void(json_.null()); };
    json_.key("src").string(v.rule).key("t_fwd");
    time(v.forward_ns);
    json_.key("t_bwd");
    time(v.backward_ns);
    json_.key("flops").number(v.flops).key("version").integer(static_cast<Index>(v.version)).key("nonfinite");
    if (v.non_finite == RecordedValue::NonFinite::none)
      json_.null();
    else
      json_.string(v.non_finite == RecordedValue::NonFinite::value ? "value" : "gradient");
    json_.close('}');
  }

  void parts(const RecordedValue& v) {
    json_.key("edges").open('[');
    for (const RecordedPart& part : v.input_grads) {
      json_.open('{').key("input").integer(part.input).key("to").integer(part.to);
      if (level_.kept == nullptr || level_.kept->parts[part.to]) {
        const bool exactly = !level_.rounded || exact(what_.tape[part.to]);
        const auto [offset, length, f32] = arrays_.put(part.values, exactly);
        json_.key("off").integer(static_cast<Index>(offset)).key("len").integer(static_cast<Index>(length));
        if (f32) json_.key("kind").string("f32");
      }
      json_.key("shape").integers(part.shape).close('}');
    }
    json_.close(']');
  }

  void check(const RecordedValue& v) {
    const RecordedCheck& check = v.check;
    json_.key("num");
    if (!shown(check)) {
      json_.null().key("num_err").null();
      return;
    }
    place(check.values);
    if (!check.cells.empty()) json_.key("num_cells").integers(check.cells);
    json_.key("num_err").open('{').key("abs").number(check.absolute).key("rel").number(check.relative);
    json_.key("cell").integer(check.cell).key("tolerance").number(check.tolerance);
    json_.key("passed").boolean(check.passed()).close('}');
  }

  void order() { json_.key("order").integers(what_.tape.order).key("loss").integer(what_.tape.loss); }

  void attention_views() {
    json_.key("labs").open('[');
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < what_.attention_views.size(); ++i) {
      if (level_.kept != nullptr && !level_.kept->attention_views[i]) continue;
      const AttentionView& view = what_.attention_views[i];
      paths.push_back(view.path);
      json_.open('{').key("path").string(view.path).key("kind").string(view.kind).key("heads").integer(
          view.heads);
      json_.key("head_dim").integer(view.head_dim).key("scale").number(view.scale);
      if (view.in_by_out) json_.key("in_by_out").boolean(true);
      json_.key("rows")
          .strings(view.rows)
          .key("columns")
          .strings(view.columns)
          .key("keep")
          .integers(view.keep);
      json_.key("nodes").open('{');
      for (const auto& [name, id] : view.values) json_.key(name).integer(id);
      json_.close('}').close('}');
    }
    json_.close(']').key("lessons").open('[');
    for (std::size_t i = 0; i < paths.size(); ++i)
      json_.open('{').key("title").string(paths[i]).key("lab").integer(static_cast<Index>(i)).close('}');
    json_.close(']');
  }

  void output() {
    if (!what_.output) return;
    json_.key("output").open('{').key("logits").integer(what_.output->logits);
    json_.key("targets").integers(what_.output->targets).key("count").integer(what_.output->count).close('}');
  }

  void parameters() {
    json_.key("parameters").open('[');
    for (std::size_t i = 0; i < what_.parameters.size(); ++i) {
      const ParameterUpdate& p = what_.parameters[i];
      const bool left_out = level_.kept != nullptr && !level_.kept->updates[i];
      json_.open('{').key("name").string(p.name).key("node").integer(p.value).key("update");
      p.update.empty() || left_out ? void(json_.null()) : place(p.update, false);
      if (left_out && !p.update.empty()) {
        json_.key("summary");
        summary(p.update);
      }
      json_.close('}');
    }
    json_.close(']');
  }

  void what_ifs() {
    json_.key("what_ifs").open('[');
    for (const WhatIf& c : what_.what_ifs) {
      json_.open('{').key("title").string(c.title).key("path").string(c.path).key("loss").number(c.loss);
      json_.key("change").number(c.change).key("predicted").number(c.predicted).close('}');
    }
    json_.close(']');
  }

  void tokens() {
    json_.key("tokens").open('{').key("source").strings(what_.source).key("target").strings(what_.target);
    json_.key("label")
        .strings(what_.label)
        .key("target_vocabulary")
        .strings(what_.target_vocabulary)
        .close('}');
  }

  void meta() {
    json_.key("meta").open('{').key("program").string("tapegrad").key("title").string(what_.title);
    json_.key("date");
    options_.date.empty() ? void(json_.null()) : void(json_.string(options_.date));
    json_.key("dtype")
        .string(dtype_name(what_.tape.dtype))
        .key("seed")
        .integer(static_cast<Index>(what_.tape.seed));
    const RecordedValue& loss = what_.tape[what_.tape.loss];
    json_.key("loss").number(loss.value.at(0)).key("broken");
    what_.broken.empty() ? void(json_.null()) : void(json_.string(what_.broken));
    json_.key("optimizer").string(what_.optimizer).key("model").open('{');
    for (const auto& [name, fact] : what_.model) json_.key(name).string(fact);
    json_.close('}').key("notices").open('[');
    for (const std::string& notice : what_.notices) json_.string(notice);
    if (level_.rounded)
      json_.string(fmt::format(
          "numbers outside of the attention layers{} are rounded to f32: the page would be too large",
          level_.kept != nullptr ? ", and their weights," : ""));
    if (level_.checks != Numeric::all)
      json_.string(level_.checks == Numeric::none
                       ? "numerical gradients left out: the page would be too large"
                       : "sampled numerical gradients left out: the page would be too large");
    if (level_.kept != nullptr)
      json_.string(fmt::format(
          "{} of {} arrays left out, and {} of {} attention layers: the page would be too large",
          level_.kept->left_out(), level_.kept->values.size(),
          std::count(level_.kept->attention_views.begin(), level_.kept->attention_views.end(), false),
          level_.kept->attention_views.size()));
    json_.close(']').close('}');
  }

  const Explanation& what_;
  const PageOptions& options_;
  const Level level_;
  JsonText json_;
  JsonBlob arrays_;
  std::set<std::uint32_t> exact_;  // values of which no number is rounded
};

/// Keeps as many arrays as fit; their size is first estimated, then measured.
std::string cut_to_size(const Explanation& what, const PageOptions& options) {
  const auto written = [&](const SizeBudget& kept) {
    return Writer(what, options, {true, Numeric::none, &kept}).write();
  };
  SizeBudget most = keep_arrays(what, 0);
  std::string best = written(most);
  if (best.size() >= options.max_bytes) return best;
  std::size_t room = options.max_bytes - best.size();
  for (int trial = 0; trial < 6 && room > 0; ++trial) {
    SizeBudget kept = keep_arrays(what, room);
    std::string text = written(kept);
    if (text.size() > options.max_bytes) {
      room -= std::min(room, text.size() - options.max_bytes);
      continue;
    }
    room += options.max_bytes - text.size();
    if (kept.left_out() > most.left_out()) continue;
    best = std::move(text);
    most = std::move(kept);
  }
  return best;
}

}  // namespace

std::string to_json(const Explanation& what, const PageOptions& options) {
  std::string text;
  for (const Level& level : levels) {
    text = Writer(what, options, level).write();
    if (text.size() <= options.max_bytes) return text;
  }
  return cut_to_size(what, options);
}

std::string to_json(const TapeRecord& record) {
  Explanation bare;
  bare.tape = record;
  return to_json(bare, {.max_bytes = SIZE_MAX});
}

}  // namespace tapegrad
