#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "examples/seq2seq/attention_picture.h"
#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/trainer.h"

namespace tapegrad::seq2seq {
namespace {

namespace fs = std::filesystem;

/// Returns true when `path` in --out exists.
bool exists(const std::string& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  expects(!error, "train: --out: {} cannot be looked at: {}", printable(path), error.message());
  return found;
}

void check_folder(const TrainOptions& options) {
  std::error_code ignored;
  expects(!exists(options.out) || fs::is_directory(options.out, ignored), "train: --out: {} is not a folder",
          printable(options.out));
  expects(options.resume || !exists(checkpoint_file(options.out)),
          "train: --out: {} exists already; go on from it with --resume, or choose another folder",
          printable(checkpoint_file(options.out)));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw SystemError(fmt::format("train: --out: {} cannot be made: {}", printable(folder), error.message()));
}

/// The limit of an output's length: half as long again as the longest target.
Index longest_output(const TokenPairs& pairs, const TrainOptions& options) {
  std::size_t longest = 0;
  for (const auto& target : pairs.targets) longest = std::max(longest, target.size());
  return std::min<Index>(static_cast<Index>(longest) * 3 / 2 + 5, options.max_length);
}

std::unique_ptr<Model> new_model(const TokenPairs& pairs, const TrainOptions& options) {
  return std::make_unique<Model>(options, Vocabulary::build(pairs.sources, options.min_count),
                                 Vocabulary::build(pairs.targets, options.min_count),
                                 longest_output(pairs, options));
}

void expect_same(const std::string& what, const std::string& now, const std::string& then,
                 const std::string& checkpoint) {
  if (now == then) return;
  throw DataError(fmt::format("{}: not what {} was trained with, got {}, expected {}", what,
                              printable(checkpoint), now.empty() ? "none" : now,
                              then.empty() ? "none" : then));
}

}  // namespace

int run_train(const TrainOptions& asked) {
  check_folder(asked);
  TrainOptions options = asked;
  LoadedCheckpoint loaded;
  const std::string checkpoint = checkpoint_file(asked.out);
  if (asked.resume && exists(checkpoint)) {
    loaded = load_checkpoint(asked.out);
    options = resumed(loaded.model->config, asked);
    loaded.model->config = options;
  }
  const bool resuming = loaded.model != nullptr;

  // All data are read and checked before anything is written.
  const TokenPairs pairs = split_examples(options.data, read_tsv(options.data), options);
  std::vector<Example> valid_examples;
  TokenPairs valid_pairs;
  if (!options.valid.empty()) {
    valid_examples = read_tsv(options.valid);
    valid_pairs = split_examples(options.valid, valid_examples, options);
  }
  if (resuming) {
    expect_same(printable(options.data), pairs.fingerprint, loaded.checkpoint.progression.data, checkpoint);
    expect_same("--valid", valid_pairs.fingerprint, loaded.checkpoint.progression.validation, checkpoint);
  }
  const std::unique_ptr<Model> model = resuming ? std::move(loaded.model) : new_model(pairs, options);
  if (!options.attention.empty()) check_sentence(*model, options.attention);
  const Corpus corpus(pairs, model->source, model->target);
  std::optional<Validator> validator;
  if (!options.valid.empty())
    validator.emplace(*model, valid_examples, valid_pairs, thread_count(options.threads));

  Progression start = loaded.checkpoint.progression;
  start.data = pairs.fingerprint;
  start.validation = valid_pairs.fingerprint;
  make_folder(options.out);
  std::fputs(
      fmt::format("{} examples, {} source and {} target tokens, {} trainable values\n", corpus.sources.size(),
                  model->source.size(), model->target.size(), model->params.trainable_values())
          .c_str(),
      stderr);
  std::optional<TrainingReport> report;
  if (options.report)
    report.emplace(options, *model,
                   options.valid.empty() ? corpus : Corpus(valid_pairs, model->source, model->target),
                   start.step);
  Trainer trainer(options, *model, corpus, validator ? &*validator : nullptr, report ? &*report : nullptr,
                  std::move(start), resuming ? &loaded.checkpoint : nullptr);
  const int code = trainer.run();
  if (!options.attention.empty() && code != exit_interrupted)
    draw_attention(*load_model(options.out), options.attention,
                   (fs::path(options.out) / "attention.svg").string());
  return code;
}

}  // namespace tapegrad::seq2seq
