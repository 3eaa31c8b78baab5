#pragma once
#include <tapegrad/nn/data/batches.h>
#include <tapegrad/nn/data/tsv.h>

#include <span>
#include <string>
#include <vector>

#include "examples/seq2seq/model.h"

namespace tapegrad::seq2seq {

/// The examples of a file, taken apart into tokens.
struct TokenPairs {
  std::vector<std::vector<std::string>> sources, targets;
  std::string fingerprint;  ///< of the texts in their order: whether a run is resumed on the same data
};

/// Throws DataError, with file and line, when a side has more than `config.max_length` tokens.
TokenPairs split_examples(const std::string& path, const std::vector<Example>& examples,
                          const TrainOptions& config);

/// The examples as ids; sources end in eos.
struct Corpus {
  std::vector<std::vector<Index>> sources, targets;

  Corpus(const TokenPairs& pairs, const Vocabulary& source, const Vocabulary& target);
  std::vector<ExampleLength> lengths() const;
};

/// The examples that one step computes on, sorted by length, for ShardedStep to cut: each shard is padded on
/// its own.
class TrainingBatch {
 public:
  TrainingBatch(const Corpus& corpus, std::span<const std::int64_t> examples);

  Index rows() const { return static_cast<Index>(order_.size()); }
  /// The mean of both sides' tokens, eos included.
  Index tokens() const { return both_sides_ / 2; }
  nn::Seq2SeqBatch slice(Index begin, Index end) const;

 private:
  const Corpus& corpus_;
  std::vector<std::int64_t> order_;
  Index both_sides_ = 0;
};

}  // namespace tapegrad::seq2seq
