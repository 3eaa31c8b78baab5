#include "examples/seq2seq/corpus.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>

namespace tapegrad::seq2seq {
using namespace nn;
namespace {

/// FNV-1a.
std::uint64_t mixed(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

Index length(const std::vector<Index>& ids) { return static_cast<Index>(ids.size()); }

}  // namespace

TokenPairs split_examples(const std::string& path, const std::vector<Example>& examples,
                          const TrainOptions& config) {
  const Tokenizer source(config.source_tokens), target(config.target_tokens);
  const auto limit = static_cast<std::size_t>(config.max_length);
  const auto check = [&](const Example& example, const char* side, std::size_t count) {
    if (count > limit)
      throw DataError(fmt::format("{}:{}:1: {} too long, got {} tokens, expected at most {} (--max-length)",
                                  printable(path), example.line, side, count, limit));
  };
  TokenPairs pairs;
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const Example& example : examples) {
    pairs.sources.push_back(source.split(example.source));
    check(example, "source", pairs.sources.back().size());
    pairs.targets.push_back(target.split(example.target));
    check(example, "target", pairs.targets.back().size());
    hash = mixed(mixed(mixed(mixed(hash, example.source), "\t"), example.target), "\n");
  }
  pairs.fingerprint = fmt::format("{} examples, {:016x}", examples.size(), hash);
  return pairs;
}

Corpus::Corpus(const TokenPairs& pairs, const Vocabulary& source, const Vocabulary& target) {
  for (const auto& tokens : pairs.sources) {
    sources.push_back(source.encode(tokens));
    sources.back().push_back(Vocabulary::eos);
  }
  for (const auto& tokens : pairs.targets) targets.push_back(target.encode(tokens));
}

std::vector<ExampleLength> Corpus::lengths() const {
  std::vector<ExampleLength> result;
  for (std::size_t i = 0; i < sources.size(); ++i)
    result.push_back({length(sources[i]), length(targets[i]) + 1});
  return result;
}

TrainingBatch::TrainingBatch(const Corpus& corpus, std::span<const std::int64_t> examples)
    : corpus_(corpus), order_(examples.begin(), examples.end()) {
  const auto tokens = [&](std::int64_t i) {
    return length(corpus.sources[static_cast<std::size_t>(i)]) +
           length(corpus.targets[static_cast<std::size_t>(i)]) + 1;
  };
  std::stable_sort(order_.begin(), order_.end(), [&](auto a, auto b) { return tokens(a) < tokens(b); });
  for (const std::int64_t i : order_) both_sides_ += tokens(i);
}

Seq2SeqBatch TrainingBatch::slice(Index begin, Index end) const {
  std::vector<std::vector<Index>> sources, targets;
  for (Index row = begin; row < end; ++row) {
    const auto i = static_cast<std::size_t>(order_[static_cast<std::size_t>(row)]);
    sources.push_back(corpus_.sources[i]);
    targets.push_back(corpus_.targets[i]);
  }
  return make_batch(sources, targets, Vocabulary::bos, Vocabulary::eos, Vocabulary::pad);
}

}  // namespace tapegrad::seq2seq
