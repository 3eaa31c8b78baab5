#include "examples/seq2seq/report.h"

#include <tapegrad/autograd/base/file.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/nn/train/sharded_step.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <numeric>

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

constexpr std::size_t examples_watched = 4, among = 1000, short_enough = 12, longest_watched = 24,
                      columns = 80;
constexpr std::int64_t initial_examples = 32;

std::vector<Index> cut(std::vector<Index> ids) {
  if (ids.size() > longest_watched) ids.resize(longest_watched);
  return ids;
}

bool utf8_terminal() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string lower;
    for (const char* c = value; *c != '\0'; ++c)
      lower += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    return lower.find("utf-8") != lower.npos || lower.find("utf8") != lower.npos;
  }
  return false;
}

std::vector<std::pair<std::string, std::string>> facts(const TrainOptions& o, const Model& model) {
  return {{"d_model", fmt::format("{}", o.d_model)},
          {"heads", fmt::format("{}", o.heads)},
          {"layers", fmt::format("{} + {}", o.encoder_layers, o.decoder_layers)},
          {"ff", fmt::format("{}", o.ff)},
          {"parameters", fmt::format("{}", model.params.trainable_values())},
          {"batch", fmt::format("{}", o.batch)},
          {"lr", fmt::format("{} ({})", o.lr, o.schedule)},
          {"clip", fmt::format("{}", o.clip)},
          {"seed", fmt::format("{}", o.seed)}};
}

}  // namespace

/// Returns the longest of the short examples among the first ones; the shortest of all when none is short.
std::vector<TrainingReport::Example> TrainingReport::choose(const Corpus& corpus) {
  std::vector<std::size_t> order(std::min(corpus.sources.size(), among));
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto longer = [&](std::size_t i) {
    return std::max(corpus.sources[i].size(), corpus.targets[i].size() + 1);
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const bool a_short = longer(a) <= short_enough, b_short = longer(b) <= short_enough;
    if (a_short != b_short) return a_short;
    return a_short ? longer(a) > longer(b) : longer(a) < longer(b);
  });
  std::vector<Example> chosen;
  for (const std::size_t i : order) {
    Example example{cut(corpus.sources[i]), {Vocabulary::bos}};
    example.fed.insert(example.fed.end(), corpus.targets[i].begin(), corpus.targets[i].end());
    example.fed = cut(std::move(example.fed));
    chosen.push_back(std::move(example));
    if (chosen.size() == examples_watched) break;
  }
  return chosen;
}

TrainingReport::TrainingReport(const TrainOptions& options, const Model& model, const Corpus& watched,
                               std::int64_t step)
    : options_(options),
      model_(model),
      examples_(choose(watched)),
      recorder_(model.params,
                {examples_.size(), [this](Tape& tape, std::size_t i) {
                   const Example& e = examples_[i];
                   const Seq2SeqBatch batch = make_source_batch({&e.source, 1}, Vocabulary::pad);
                   const Var memory = model_.network.encode(tape, batch.source, batch.source_mask);
                   model_.network.decode(memory, batch.source_mask,
                                         Tensor::ids(e.fed, {1, static_cast<Index>(e.fed.size())}));
                 }}) {
  Timeline& timeline = recorder_.timeline();
  timeline.title = printable(std::filesystem::path(options.data).filename().string());
  timeline.facts = facts(options, model);
  name_tokens();
  log_.emplace(options.out, step, timeline);
  recorder_.thin(step);
}

void TrainingReport::name_tokens() {
  const auto spell = [](const std::vector<Index>& ids, const Vocabulary& vocabulary) {
    std::vector<std::string> tokens;
    for (const Index id : ids) {
      const std::string_view token = vocabulary.token(id);
      tokens.push_back(token == " " ? "␣" : printable(token, 20));
    }
    return tokens;
  };
  const std::vector<std::string> source = spell(examples_[0].source, model_.source),
                                 fed = spell(examples_[0].fed, model_.target);
  for (WatchedAttention& attention : recorder_.timeline().attention) {
    const bool encoder = attention.path.find("encoder.layers") != std::string::npos;
    const bool cross = attention.path.find("multihead_attn") != std::string::npos;
    attention.rows = encoder ? source : fed;
    attention.columns = encoder || cross ? source : fed;
  }
}

std::string TrainingReport::begin(const Corpus& corpus) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(
      std::min<std::int64_t>(initial_examples, static_cast<std::int64_t>(corpus.sources.size()))));
  std::iota(first.begin(), first.end(), std::int64_t{0});
  const TrainingBatch all(corpus, first);
  const Index shards = shard_count(all.rows(), all.tokens(), model_.params.trainable_values());
  const Seq2SeqBatch batch = all.slice(0, shard_begin(all.rows(), 1, shards));
  Timeline& timeline = recorder_.timeline();
  timeline.initial = init_report(model_.params, [&](Tape& tape) {
    return model_.network.loss_sum(tape, batch, options_.label_smoothing) *
           (1 / static_cast<double>(batch.targets));
  });
  log_->write(*timeline.initial);
  log_->write(recorder_.snapshot(0));
  return to_text(*timeline.initial);
}

void TrainingReport::sampled(const TimelineSample& sample) {
  log_->write(sample);
  if (recorder_.snapshot_due(sample.step)) log_->write(recorder_.snapshot(sample.step));
}

void TrainingReport::validated(std::int64_t step, double loss, bool last) {
  recorder_.timeline().validation.push_back({step, loss});
  if (!last) log_->write(recorder_.timeline().validation.back());
}

void TrainingReport::write() {
  write_file((std::filesystem::path(options_.out) / "report.html").string(), to_html(recorder_.timeline()));
}

std::string TrainingReport::finish(std::int64_t step) {
  recorder_.snapshot(step);
  write();
  return sparklines(recorder_.timeline(), columns, utf8_terminal());
}

}  // namespace tapegrad::seq2seq
