#include <tapegrad/autograd/base/file.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/inspect/explain/explanation.h>
#include <tapegrad/autograd/inspect/record/dump.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/optim/adam.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/model.h"
#include "examples/support/output_file.h"

namespace tapegrad::seq2seq {
using namespace nn;
using namespace optim;
namespace {

/// Ids of a text's tokens. Throws DataError when it has none or too many, or one that the model does not
/// know.
std::vector<Index> read_tokens(const Model& model, const char* option, const Tokenizer& tokenizer,
                               const Vocabulary& vocabulary, const std::string& text) {
  std::vector<std::string> tokens;
  try {
    tokens = tokenizer.split(text);
  } catch (const DataError& error) {
    throw DataError(fmt::format("explain: {}: {}", option, error.what()));
  }
  const auto limit = static_cast<std::size_t>(model.config.max_length);
  if (tokens.empty() || tokens.size() > limit)
    throw DataError(
        fmt::format("explain: {}: got a text of {} tokens, expected 1 to {}", option, tokens.size(), limit));
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (vocabulary.id(tokens[i]) == Vocabulary::unk)
      throw DataError(fmt::format("explain: {}: token {}, {}, was not seen in training", option, i + 1,
                                  in_quotes(tokens[i])));
  return vocabulary.encode(tokens);
}

std::vector<std::string> spelled(const Vocabulary& vocabulary, std::span<const Index> ids) {
  std::vector<std::string> tokens;
  for (const Index id : ids) tokens.emplace_back(vocabulary.token(id));
  return tokens;
}

/// The change of a parameter in the first step of the model's optimizer, in f64.
std::vector<double> first_update(const TrainOptions& config, const RecordedValue& p) {
  const auto filled_with = [](const std::vector<double>& values) {
    return Initializer(
        [&values](Tensor& x, RandomKey) { std::copy(values.begin(), values.end(), x.data<double>()); });
  };
  ParameterStore store(0, DType::f64);
  const Parameter copy = store.root().parameter("copy", p.shape, filled_with(p.value));
  Tensor gradient(p.shape, DType::f64);
  std::copy(p.gradient.begin(), p.gradient.end(), gradient.data<double>());
  Tape tape({.dtype = DType::f64});
  const Var slope = sum(tape[copy] * tape.constant(gradient));
  AdamW({.learning_rate = config.lr,
         .beta1 = config.beta1,
         .beta2 = config.beta2,
         .weight_decay = config.weight_decay})
      .step(tape.backward(slope));
  std::vector<double> update = copy.value().to_vector();
  for (std::size_t i = 0; i < update.size(); ++i) update[i] -= p.value[i];
  return update;
}

std::vector<std::pair<std::string, std::string>> facts(const Model& model) {
  const TrainOptions& c = model.config;
  return {{"d_model", fmt::format("{}", c.d_model)},
          {"heads", fmt::format("{}", c.heads)},
          {"encoder layers", fmt::format("{}", c.encoder_layers)},
          {"decoder layers", fmt::format("{}", c.decoder_layers)},
          {"feed forward", fmt::format("{}", c.ff)},
          {"activation", c.activation},
          {"norm", c.norm_first ? "before" : "after"},
          {"parameters", fmt::format("{}", model.params.trainable_values())},
          {"dtype", std::string(dtype_name(model.params.dtype()))}};
}

Numeric numeric_of(const std::string& name) {
  return name == "all" ? Numeric::all : name == "none" ? Numeric::none : Numeric::sampled;
}

void write_results(const ExplainRunOptions& options, const Explanation& what) {
  const PageOptions page{.max_bytes = static_cast<std::size_t>(options.max_bytes)};
  if (!options.out.empty()) {
    const std::string text = to_html(what, page);
    write_file(options.out, text);
    const bool large = text.size() > page.max_bytes;
    fmt::print(stderr, "seq2seq: {}: {} bytes{}\n", printable(options.out), text.size(),
               large ? ", more than --max-bytes: nothing else can be left out" : "");
  }
  if (!options.json.empty()) write_file(options.json, to_json(what, {.max_bytes = SIZE_MAX}) + "\n");
  if (!options.dot.empty()) write_file(options.dot, dump_dot(what.tape));
  if (!options.text) return;
  const std::string text = to_text(what);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error("cannot write to standard output");
}

/// Fails before long work for outputs that cannot be written, or would overwrite each other or the model.
void check_outputs(const ExplainRunOptions& options) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto place = [&](const fs::path& path) {
    const fs::path whole = fs::absolute(path, ignored);
    std::error_code error;
    const fs::path found = fs::weakly_canonical(whole, error);
    return error ? whole.lexically_normal() : found;
  };
  std::vector<std::pair<std::string, fs::path>> taken = {
      {"the model", place(fs::path(options.model) / "model.safetensors")},
      {"the checkpoint", place(fs::path(options.model) / "checkpoint.safetensors")}};
  const std::pair<const char*, const std::string&> files[] = {
      {"--out", options.out}, {"--json", options.json}, {"--dot", options.dot}, {"--trace", options.trace}};
  for (const auto& [name, path] : files) {
    if (path.empty()) continue;
    examples::expect_writable_folder(fmt::format("explain: {}", name), path);
    expects(!fs::exists(path, ignored) || fs::is_regular_file(path, ignored),
            "explain: {}: {} is not a regular file, which alone can be replaced", name, printable(path));
    expects(!options.text || !fs::equivalent(path, "/dev/stdout", ignored),
            "explain: {}: {} is the standard output, where --text goes", name, printable(path));
    const fs::path here = place(path);
    for (const auto& [what, there] : taken)
      expects(here != there, "explain: {}: {} is {}; choose another file", name, printable(path), what);
    taken.emplace_back(fmt::format("the file of {}", name), here);
  }
}

}  // namespace

int run_explain(const ExplainRunOptions& options) {
  check_outputs(options);
  const std::unique_ptr<Model> model = load_model(options.model);
  std::vector<Index> source =
      read_tokens(*model, "--source", model->source_tokens, model->source, options.source);
  const std::vector<Index> target =
      read_tokens(*model, "--target", model->target_tokens, model->target, options.target);
  source.push_back(Vocabulary::eos);
  const Seq2SeqBatch batch =
      make_batch({&source, 1}, {&target, 1}, Vocabulary::bos, Vocabulary::eos, Vocabulary::pad);

  Tape tape({.dtype = DType::f64, .training = options.dropout, .show_parts = true, .seed = options.seed});
  const Var loss =
      cross_entropy(model->network(tape, batch), batch.target_out, {.ignore_index = Vocabulary::pad});
  const TrainOptions& c = model->config;
  ExplainOptions explaining{
      .title = options.title.empty() ? fmt::format("{} → {}", options.source, options.target) : options.title,
      .model = facts(*model),
      .source = spelled(model->source, source),
      .target = spelled(model->target, {batch.target_in.data<Index>(), target.size() + 1}),
      .label = spelled(model->target, {batch.target_out.data<Index>(), target.size() + 1}),
      .numeric = numeric_of(options.numeric),
      .time = options.time,
      .broken = options.broken,
      .update = [&](const RecordedValue& p) { return first_update(c, p); },
      .optimizer = fmt::format("the first step of AdamW, learning rate {}, betas {} and {}, weight decay {}",
                               c.lr, c.beta1, c.beta2, c.weight_decay),
      .progress = [](const std::string& begun) { fmt::print(stderr, "seq2seq: {} …\n", begun); }};
  for (Index id = 0; id < model->target.size(); ++id)
    explaining.target_vocabulary.emplace_back(model->target.token(id));
  if (options.dropout)
    explaining.model.emplace_back("dropout", fmt::format("{}, seed {}", c.dropout, options.seed));
  if (!options.out.empty() || !options.json.empty() || !options.dot.empty() || options.text)
    write_results(options, explain(loss, explaining));
  if (!options.trace.empty()) write_file(options.trace, dump_trace(record(loss, {.time = true})));
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
