/// Measures a model on validation data during training.
#pragma once
#include <tapegrad/nn/data/metrics.h>

#include <optional>

#include "examples/seq2seq/corpus.h"
#include "examples/seq2seq/translator.h"

namespace tapegrad::seq2seq {

struct Validation {
  double loss = 0;   ///< mean cross-entropy a target token, without label smoothing
  ErrorRates score;  ///< of free-running greedy outputs
};

/// Measures a model's current weights on the examples of a file.
class Validator {
 public:
  Validator(const Model& model, const std::vector<Example>& examples, const TokenPairs& pairs,
            std::size_t threads);

  /// Returns the measures, or nothing when `stop` became true meanwhile.
  std::optional<Validation> run(const std::function<bool()>& stop);

 private:
  double mean_loss(const std::function<bool()>& stop);

  const Model& model_;
  std::vector<References> references_;
  std::vector<std::string> sources_;
  std::vector<nn::Seq2SeqBatch> batches_;
  Translator translator_;
  ThreadTeam team_;
  std::vector<std::unique_ptr<Tape>> tapes_;
};

}  // namespace tapegrad::seq2seq
