/// Greedy decoding of a batch of sentences.
#pragma once
#include "../seq2seq.h"

namespace tapegrad::nn {

struct DecodeOptions {
  Index bos = 1, eos = 2;
  Index max_length = 128;  ///< most tokens of an output, without eos; the model's own limit also holds
  /// Transposed copies of weights that several calls share, in one thread at a time; without them each call
  /// makes its own.
  std::shared_ptr<TransposedWeights> weights = {};
};

/// Appends the likeliest next token to each output, from bos until eos or `max_length`. Returns the outputs
/// without bos and eos. A row's output does not depend on the other rows. `tape` must not record; it is
/// reset.
std::vector<std::vector<Index>> greedy_decode(const Seq2Seq& model, Tape& tape,
                                              std::span<const std::vector<Index>> sources,
                                              const DecodeOptions& options = {});

}  // namespace tapegrad::nn
