/// Translates texts in batches on several threads, by one model or an ensemble.
#pragma once
#include <tapegrad/autograd/parallel/threads.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "examples/seq2seq/model.h"

namespace tapegrad::seq2seq {

/// Number of threads for the option `threads`, where 0 means as many as there are processors.
std::size_t thread_count(std::int64_t threads);

/// Translates source texts to target texts by one model or an ensemble. The output of a source does not
/// depend on the other sources.
class Translator {
 public:
  /// Throws Error when the models' target vocabularies differ.
  Translator(std::vector<const Model*> models, std::int64_t beam, std::size_t threads);

  /// Returns the outputs in the order of `sources`; a text without tokens gives an empty one. Throws
  /// DataError, `NAME(i): …`, for a source of more tokens than a model takes. When `stop` becomes true the
  /// remaining outputs stay empty.
  std::vector<std::string> operator()(std::span<const std::string> sources,
                                      const std::function<std::string(std::size_t)>& place,
                                      const std::function<bool()>& stop = {});
  /// Tokens written so far.
  std::int64_t tokens() const { return tokens_; }

 private:
  using Ids = std::vector<Index>;
  void decode(std::size_t worker, std::span<const std::size_t> rows,
              std::span<const std::vector<Ids>> sources, std::vector<Ids>& outputs);

  std::vector<const Model*> models_;
  std::int64_t beam_;
  ThreadTeam team_;
  std::vector<std::vector<std::unique_ptr<Tape>>> tapes_;        // [worker][model]
  std::vector<std::shared_ptr<nn::TransposedWeights>> weights_;  // [worker]
  std::int64_t tokens_ = 0;
};

}  // namespace tapegrad::seq2seq
