#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../record/record.h"

namespace tapegrad {

/// One attention layer, as the explorer's lab shows it: which recorded values are its query, scores, weights.
struct AttentionLab {
  std::string path;  ///< of the layer that ran it; the second lab of a path is `path (2)`
  std::string kind;  ///< self, causal or cross
  Index heads = 1, head_dim = 1;
  double scale = 1;
  bool in_by_out = false;                  ///< weights are [in, out], as in x W; else [out, in], as in x W'
  std::vector<std::string> rows, columns;  ///< tokens of queries and of keys
  std::vector<std::uint8_t> keep;          ///< [query, key] 1 where a key takes part
  /// Ids by name: x_query x_key x_value query key value scores weights context, in_proj_weight or
  /// q_proj_weight k_proj_weight v_proj_weight; where they exist also in_proj_bias or q_proj_bias …, bias
  /// (added to the scores), dropped (weights after dropout), and of an output projection merged output
  /// out_proj_weight out_proj_bias.
  std::map<std::string, std::uint32_t> values;
};

/// Where the loss is made: logits [.., vocabulary], the right id of each row (-1: none) and by how many the
/// sum of losses is divided.
struct LossPlace {
  std::uint32_t logits = 0;
  std::vector<Index> targets;
  Index count = 1;
};

struct ParameterUpdate {
  std::string name;
  std::uint32_t value = 0;
  std::vector<double> update;  ///< what one step of the optimizer adds
};

/// What the loss would be after one change, beside what the gradients say about it to first order.
struct WhatIf {
  std::string title, path;
  double loss = 0, change = 0, predicted = 0;
};

/// A recording with what a reader needs to understand it: tokens, attention layers, updates.
struct Explanation {
  TapeRecord tape;
  std::string title;
  std::vector<std::pair<std::string, std::string>> model;  ///< facts for the header
  std::vector<std::string> source, target, label, target_vocabulary;
  std::vector<AttentionLab> labs;
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
  /// Tokens that the encoder and the decoder read, those that the decoder should write, and all it can write.
  std::vector<std::string> source = {}, target = {}, label = {}, target_vocabulary = {};
  Numeric numeric = Numeric::sampled;
  bool time = false;        ///< as RecordOptions::time; the page then differs from run to run
  bool what_ifs = true;     ///< each head off, each source token away
  std::string broken = {};  ///< a rule to break (broken_rules.h), or nothing
  /// What one step of an optimizer adds to a parameter, element by element; by default plain gradient
  /// descent, -0.1 gradient.
  std::function<std::vector<double>(const RecordedValue& parameter)> update = {};
  std::string optimizer = {};  ///< says what `update` is
  /// Told what begins, for what takes long.
  std::function<void(const std::string&)> progress = {};
};

/// Takes the run that `loss` ends down and finds what there is to explain: attention layers by their
/// structure (labs.h), logits and targets behind a cross-entropy, the updates of parameters, the source text
/// of each backward rule. Record with `Tape({.dtype = DType::f64, .show_parts = true})` to see inside
/// attention.
///
///     write_html(explain(loss, {.title = "three tokens"}), "page.html");
///
/// Numerical checks of large runs are cut short so that they take minutes at most; a notice says so. The tape
/// is as before, and no gradient hook runs. Throws what `record` throws, and Error for an unknown broken rule
/// or one that fits nowhere.
Explanation explain(const Var& loss, const ExplainOptions& options = {});

struct PageOptions {
  /// Above it numbers are rounded, then sampled checks left out, then all, then as many arrays as must be
  /// (kept_arrays.h); a notice says so.
  std::size_t max_bytes = 2'000'000;
  std::string date = {};  ///< printed as it is; by default $SOURCE_DATE_EPOCH's day or nothing
};

/// The recording under the schema `tape/1` (docs/tape-1.schema.json).
std::string to_json(const Explanation& what, const PageOptions& options = {});
/// The same of a recording without explanation; nothing is left out.
std::string to_json(const TapeRecord& record);
/// One page that needs nothing else: no network, no server. The same input gives the same bytes.
std::string to_html(const Explanation& what, const PageOptions& options = {});
/// Writes it; a SystemError names the path that cannot be written.
void write_html(const Explanation& what, const std::string& path, const PageOptions& options = {});
/// The same steps and numbers for a terminal.
std::string to_text(const Explanation& what);

}  // namespace tapegrad
