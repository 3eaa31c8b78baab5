/// The logits of the next token, step by step; shared by greedy decoding and beam search.
#pragma once
#include "../seq2seq.h"

namespace tapegrad::nn {

/// The logits of the next token of several open outputs, step by step. Each step computes the newest position
/// alone, with a DecoderCache. Equal logits are recomputed from all tokens so far on a tape with hooks,
/// watched taps or .fused = false, where observers see whole prefixes, and for scores other than
/// Score::scaled_dot.
class NextTokens {
 public:
  /// Encodes the sources; row r is sentence r. `tape` must not record, is reset, and serves this object
  /// alone. `weights`: see DecodeOptions.
  NextTokens(const Seq2Seq& model, Tape& tape, std::span<const std::vector<Index>> sources,
             std::shared_ptr<TransposedWeights> weights = nullptr);

  /// Appends `last[r]` to every row r and returns the logits of the next token, valid until the next call.
  ///   -> [rows, target_vocabulary]
  Tensor logits(std::span<const Index> last);
  /// Replaces row r by a copy of row `parents[r]`; rows that are not named are dropped.
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
  Tape::Mark mark_;  // the state before each step; with a cache, parameters are on the tape after the first
  bool marked_ = false;
};

}  // namespace tapegrad::nn
