#pragma once
#include <tapegrad/nn/seq2seq.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>

#include <vector>

#include "tests/bench/program/batches.h"

namespace tapegrad::bench {

/// The encoder-decoder, its optimizer and its tapes, as a user would put them together.
class Trainer {
 public:
  /// `checkpoint`: see TransformerOptions.
  Trainer(const Size& size, int threads, std::uint64_t seed, bool checkpoint = false);

  /// A batch as the model takes it, cut into the shards of the step.
  using Shards = std::vector<nn::Seq2SeqBatch>;
  Shards prepare(const Batch& batch) const;

  /// Forward, backward, Adam; returns the mean loss a token.
  double step(const Shards& shards);

  ParameterStore& parameters() { return params_; }
  /// Nodes recorded in the last step, over all shards, and the most bytes that one tape ever held.
  std::size_t nodes() const;
  std::size_t tape_bytes() const { return sharded_.peak_bytes(); }

 private:
  const Size& size_;
  ParameterStore params_;
  nn::Seq2Seq model_;
  optim::Adam adam_;
  nn::ShardedStep sharded_;
  std::uint64_t count_ = 0;
  std::vector<std::size_t> nodes_;  // by shard
};

}  // namespace tapegrad::bench
