#pragma once
#include <tapegrad/nn/train/progress.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/ema.h>
#include <tapegrad/optim/schedule.h>

#include <chrono>
#include <optional>

#include "examples/seq2seq/checkpoint.h"
#include "examples/seq2seq/metrics_log.h"
#include "examples/seq2seq/report.h"
#include "examples/seq2seq/validator.h"

namespace tapegrad::seq2seq {

/// The learning rate of each step, as the options say. `steps` is where training ends.
optim::Schedule make_schedule(const TrainOptions& options, std::int64_t steps);

/// Trains a model and fills DIR. Its results follow from the checkpoint, the data and the options, not from
/// the clock, the number of threads, or the step at which an earlier run stopped.
class Trainer {
 public:
  /// Prepares a training that begins anew, or continues from `from`. `validator` and `report` may be null.
  Trainer(const TrainOptions& options, Model& model, const Corpus& corpus, Validator* validator,
          TrainingReport* report, Progression start, const Checkpoint* from);

  /// Trains until a limit is reached, until `patience` validations in a row brought no improvement, or until
  /// an interrupt. Returns the exit code: `exit_failure` when everything is saved except the report, whose
  /// failure stops nothing else. Throws std::runtime_error when loss, gradient or weights are not finite; the
  /// last checkpoint stays.
  int run();

 private:
  double elapsed() const;
  bool limits_reached() const;
  /// Takes over the state of a checkpoint. Throws DataError.
  void accept(const Checkpoint& from);
  bool validation_due() const;
  void train_step();
  /// Loss and gradients of the next batch; what --check finds is thrown as std::runtime_error.
  nn::StepResult forward_and_backward(const TrainingBatch& batch);
  void log_step(double learning_rate, double norm);
  /// False when interrupted on the way. `last`: outside the order of validations, which it does not change.
  bool validate(bool last);
  void save();
  void finish();
  /// Calls `write(*report_)`. When the report's files fail, says so, and training goes on without it.
  template <class F>
  void reporting(F&& write);
  void refuse_divergence(double loss, double norm);
  void refuse_weights() const;
  std::string last_checkpoint() const;

  const TrainOptions& options_;
  Model& model_;
  const Corpus& corpus_;
  Validator* validator_;
  TrainingReport* report_;      // null when there is none, or its files failed
  std::string report_failure_;  // why they did
  Progression at_;
  Batches batches_;
  nn::ShardedStep step_;
  optim::AdamW adam_;
  std::optional<optim::Ema> ema_;
  TensorFile best_weights_;  // what the checkpoint keeps of `at_.best`
  TensorFile last_weights_;  // better ones, seen by the last validation
  std::int64_t total_;
  optim::Schedule schedule_;
  std::optional<MetricsLog> log_;  // opened once everything was accepted: opening cuts the file
  nn::Progress progress_;
  std::chrono::steady_clock::time_point start_;
  double earlier_seconds_, logged_seconds_ = 0, saved_seconds_ = 0;
  std::int64_t logged_tokens_ = 0, labelled_ = -1;
  std::optional<std::int64_t> saved_step_;
};

}  // namespace tapegrad::seq2seq
