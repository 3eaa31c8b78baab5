#pragma once
#include "../seq2seq.h"

namespace tapegrad::nn {

/// What a model says of the next token of several open outputs, step by step: the part that greedy decoding
/// and beam search share. Each step runs the newest position alone, over a DecoderCache. Where a cache cannot
/// serve, the same logits are recomputed from all tokens so far: on a tape with hooks, watched taps or .fused
/// = false, which are to see whole prefixes, and for scores other than Score::scaled_dot.
class NextTokens {
 public:
  /// Encodes; row r is sentence r. `tape` must not record, is reset, and serves this object alone.
  /// `weights`: see DecodeOptions.
  NextTokens(const Seq2Seq& model, Tape& tape, std::span<const std::vector<Index>> sources,
             std::shared_ptr<TransposedWeights> weights = nullptr);

  /// Logits after one more token of every row, `last[r]`.   -> [rows, target_vocabulary], until the next call
  Tensor logits(std::span<const Index> last);
  /// From now on row r goes on from what row `parents[r]` was; rows that are not named are dropped.
  void select(std::span<const Index> parents);

 private:
  Var from_cache(std::span<const Index> last);
  Tensor from_prefixes(std::span<const Index> last);

  const Seq2Seq& model_;
  Tape& tape_;
  Var memory_;  // [sentences, source, d_model]
  std::vector<Index> lengths_;
  bool cached_;
  DecoderCache cache_;
  Tensor last_;  // [rows, 1]
  std::vector<std::vector<Index>> prefixes_;
  std::vector<Index> sentences_;  // [rows], of prefixes
  Tape::Mark mark_;  // of the cached form after the first step, which brings all parameters onto the tape
  bool marked_ = false;
};

}  // namespace tapegrad::nn
