#pragma once
#include <tapegrad/nn/seq2seq.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>

#include <atomic>

#include "tests/bench/program/batches.h"

namespace tapegrad::bench {

/// The encoder-decoder, its optimizer and its tapes, as a user would put them together.
class Trainer {
 public:
  /// `checkpoint`: see TransformerOptions.
  Trainer(const Size& size, int threads, std::uint64_t seed, bool checkpoint = false);

  /// A batch as the step takes it.
  struct Prepared {
    Tensor source, target_in;  // [rows, length]

    Index rows() const { return source.shape()[0]; }
    Index tokens() const { return source.size(); }
    nn::Seq2SeqBatch slice(Index begin, Index end) const;
  };
  Prepared prepare(const Batch& batch) const;

  /// Forward, backward, Adam; returns the mean loss a token.
  double step(const Prepared& batch);

  ParameterStore& parameters() { return params_; }
  /// Nodes recorded in the last step, over all shards, and the most bytes that one tape ever held.
  std::size_t nodes() const { return nodes_; }
  std::size_t tape_bytes() const { return sharded_.peak_bytes(); }

 private:
  const Size& size_;
  ParameterStore params_;
  nn::Seq2Seq model_;
  optim::Adam adam_;
  nn::ShardedStep sharded_;
  std::atomic<std::size_t> nodes_ = 0;
};

}  // namespace tapegrad::bench
