#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/data/metrics.h>

#include <chrono>
#include <cstdio>

#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/json.h"
#include "examples/seq2seq/translator.h"

namespace tapegrad::seq2seq {

int run_evaluate(const EvaluateOptions& options) {
  std::vector<std::unique_ptr<Model>> models;
  std::vector<const Model*> pointers;
  for (const std::string& folder : options.models)
    pointers.push_back(models.emplace_back(load_model(folder)).get());
  const std::vector<Example> examples = read_tsv(options.data);
  const std::vector<References> references = group_by_source(examples);
  std::vector<std::string> sources;
  std::vector<std::int64_t> lines;  // where each distinct source first stands
  for (const Example& example : examples)
    if (sources.size() < references.size() && example.source == references[sources.size()].source) {
      sources.push_back(example.source);
      lines.push_back(example.line);
    }

  const auto start = std::chrono::steady_clock::now();
  Translator translate(std::move(pointers), options.beam, thread_count(options.threads));
  const std::vector<std::string> outputs = translate(
      sources, [&](std::size_t i) { return fmt::format("{}:{}:1", printable(options.data), lines[i]); });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const ErrorRates result = score(references, outputs, models[0]->target_tokens);
  const std::vector<std::pair<std::string, JsonScalar>> line = {
      {"examples", result.examples},
      {"exact_match", result.exact_match()},
      {"wer", result.word_error_rate()},
      {"per", result.token_error_rate()},
      {"seconds", seconds},
      {"tokens_per_second", seconds > 0 ? static_cast<double>(translate.tokens()) / seconds : 0.0},
      {"beam", options.beam},
      {"models", static_cast<std::int64_t>(models.size())},
  };
  std::fputs((to_json(line) + "\n").c_str(), stdout);
  return exit_ok;
}

}  // namespace tapegrad::seq2seq
