/// The checkpoint of a training run: saving, loading, and the position of the run.
#pragma once
#include <optional>
#include <string>

#include "examples/seq2seq/model.h"

namespace tapegrad::seq2seq {

/// The best validation so far.
struct Best {
  double error_rate = 1, loss = 0;
  std::int64_t step = 0;

  bool better_than(const Best& other) const {
    return error_rate != other.error_rate ? error_rate < other.error_rate : loss < other.loss;
  }
};

/// The position of a training run: with the weights and the optimizer's state, all that the following steps
/// depend on.
struct Progression {
  std::int64_t step = 0;              ///< steps done
  std::int64_t epoch = 0, index = 0;  ///< the next batch
  std::int64_t validated_step = 0;    ///< of the last validation that counts
  std::int64_t stale = 0;             ///< validations since the best one
  std::optional<Best> best;
  double seconds = 0;  ///< trained so far, over all runs
  std::int64_t ema_updates = 0;
  double window_loss = 0;         ///< sum of the losses since the last line of metrics
  std::int64_t window_count = 0;  ///< number of targets in `window_loss`
  std::string data, validation;   ///< fingerprints
};

/// The content of DIR/checkpoint.safetensors besides the model, sufficient to resume. Its tensors are
/// `model.<name>`, `optim.<name>.<state>`, `ema.<name>` and `best.<name>`.
struct Checkpoint {
  Progression progression;
  TensorFile::Tensors optimizer;
  TensorFile average, best;  ///< state dicts, empty when there are none
};

std::string checkpoint_file(const std::string& folder);
void save_checkpoint(const std::string& folder, const Model& model, const Checkpoint& checkpoint);

struct LoadedCheckpoint {
  Checkpoint checkpoint;
  std::unique_ptr<Model> model;
};
/// Throws DataError with the file's name.
LoadedCheckpoint load_checkpoint(const std::string& folder);

}  // namespace tapegrad::seq2seq
