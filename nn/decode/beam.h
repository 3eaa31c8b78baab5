/// Beam search over one model or an ensemble.
#pragma once
#include "greedy.h"

namespace tapegrad::nn {

struct BeamOptions {
  Index beam = 4;             ///< hypotheses kept
  double length_penalty = 1;  ///< α of the score
  Index bos = 1, eos = 2;
  Index max_length = 128;  ///< most tokens of an output, without eos
  /// Transposed copies of weights that several calls share, in one thread at a time; without them each call
  /// makes its own.
  std::shared_ptr<TransposedWeights> weights = {};
};

/// An output without bos and eos, and its score Σ log p / lengthᵅ; eos counts as a token unless `max_length`
/// cut the output off.
struct Hypothesis {
  std::vector<Index> tokens;
  double score = 0;
};

/// Beam search for one sentence by one model or several, whose log-probabilities are averaged. Each step
/// keeps the `beam` best continuations of all hypotheses; those that end in eos are finished, and the search
/// ends when no open one can beat the best finished one. Each model reads its own ids of the sentence; the
/// target vocabularies must agree. `tapes[m]` serves `models[m]`, must not record, and is reset. One model
/// with a beam of 1 gives exactly the output of `greedy_decode`.
Hypothesis beam_decode(std::span<const Seq2Seq* const> models, std::span<Tape* const> tapes,
                       std::span<const std::vector<Index>> sources, const BeamOptions& options = {});

}  // namespace tapegrad::nn
