/// Explains a recorded run: `explain` gathers the recording, attention layers, loss, parameter updates and
/// rule texts in an `Explanation`, which is written as an HTML page, as JSON or as text.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../record/record.h"

namespace tapegrad {

/// One attention layer for the explorer's attention view, with the recorded values of its query, key, value,
/// scores and weights.
struct AttentionView {
  std::string path;  ///< of the layer that ran it; the second view of a path is `path (2)`
  std::string kind;  ///< self, causal or cross
  Index heads = 1, head_dim = 1;
  double scale = 1;
  bool in_by_out = false;                  ///< weights are [in, out], as in x W; else [out, in], as in x W'
  std::vector<std::string> rows, columns;  ///< tokens of queries and of keys
  std::vector<std::uint8_t> keep;          ///< [query, key], 1 for keys that the mask keeps
  /// Ids by name: x_query x_key x_value query key value scores weights context, in_proj_weight or
  /// q_proj_weight k_proj_weight v_proj_weight; if the layer has them also in_proj_bias or q_proj_bias …,
  /// bias (added to the scores), dropped (weights after dropout), and of an output projection merged output
  /// out_proj_weight out_proj_bias.
  std::map<std::string, std::uint32_t> values;
};

/// The cross-entropy behind the loss: logits [.., vocabulary], the target id of each row (-1: ignored) and
/// the count that divides the sum of losses.
struct LossPlace {
  std::uint32_t logits = 0;
  std::vector<Index> targets;
  Index count = 1;
};

struct ParameterUpdate {
  std::string name;
  std::uint32_t value = 0;
  std::vector<double> update;  ///< the change that one optimizer step adds to it
};

/// The loss after one change of the run, and its first-order prediction from the gradients.
struct WhatIf {
  std::string title, path;
  double loss = 0, change = 0, predicted = 0;
};

/// A recording with its tokens, attention layers, parameter updates and rule texts.
struct Explanation {
  TapeRecord tape;
  std::string title;
  std::vector<std::pair<std::string, std::string>> model;  ///< facts for the header
  std::vector<std::string> source, target, label, target_vocabulary;
  std::vector<AttentionView> attention_views;
  std::optional<LossPlace> output;
  std::vector<ParameterUpdate> parameters;
  std::string optimizer;
  std::vector<WhatIf> what_ifs;
  std::string broken;  ///< the rule that was broken on purpose, or nothing
  std::vector<std::string> notices;
  std::map<std::string, std::string> rules;  ///< `file:line` -> the rule's text
};

struct ExplainOptions {
  std::string title = "A recorded run";
  std::vector<std::pair<std::string, std::string>> model = {};
  /// Tokens that the encoder (`source`) and the decoder (`target`) read, that the decoder should predict
  /// (`label`), and all that it can predict.
  std::vector<std::string> source = {}, target = {}, label = {}, target_vocabulary = {};
  Numeric numeric = Numeric::sampled;
  bool time = false;        ///< as RecordOptions::time; the page then differs from run to run
  bool what_ifs = true;     ///< replay with each head and each source token set to zero
  std::string broken = {};  ///< a rule to break (broken_rules.h), or nothing
  /// Returns the change that one optimizer step adds to a parameter, element by element. The default is
  /// gradient descent, -0.1 gradient.
  std::function<std::vector<double>(const RecordedValue& parameter)> update = {};
  std::string optimizer = {};  ///< describes `update`
  /// Called with a description when a long phase begins.
  std::function<void(const std::string&)> progress = {};
};

/// Captures the run up to `loss` and finds its attention layers by their structure, the logits and targets of
/// its cross-entropy, the updates of its parameters and the source text of each backward rule. Record with
/// `Tape({.dtype = DType::f64, .show_parts = true})` to see inside attention.
///
///     write_html(explain(loss, {.title = "three tokens"}), "page.html");
///
/// Numerical checks of large runs are sampled to take minutes at most, and a notice says so. The tape stays
/// unchanged and no gradient hook runs. Throws the errors of `record`, and Error when `broken` names an
/// unknown rule or a rule that no op of the run uses.
Explanation explain(const Var& loss, const ExplainOptions& options = {});

struct PageOptions {
  /// A page above this size is reduced in steps: numbers are rounded, sampled checks are omitted, then all
  /// checks, then arrays (size_budget.h). A notice says so.
  std::size_t max_bytes = 2'000'000;
  std::string date = {};  ///< printed verbatim; by default the day of $SOURCE_DATE_EPOCH, or nothing
};

/// The recording under the schema `tape/1` (docs/tape-1.schema.json).
std::string to_json(const Explanation& what, const PageOptions& options = {});
/// The recording alone under the schema `tape/1`, complete.
std::string to_json(const TapeRecord& record);
/// One self-contained page, without network or server. Equal input gives equal bytes.
std::string to_html(const Explanation& what, const PageOptions& options = {});
/// Writes the page with `write_file` (base/file.h): atomically, or not at all, with a SystemError.
void write_html(const Explanation& what, const std::string& path, const PageOptions& options = {});
/// The explanation as text for a terminal, with the steps and numbers of the page.
std::string to_text(const Explanation& what);

}  // namespace tapegrad
