/// The timeline report of a training run.
#pragma once
#include <tapegrad/nn/train/timeline_recorder.h>

#include <optional>

#include "examples/seq2seq/corpus.h"
#include "examples/seq2seq/report_log.h"

namespace tapegrad::seq2seq {

/// The report of `--report`: a timeline of the training in DIR/report.html, kept in DIR/report.jsonl.
class TrainingReport {
 public:
  /// Watches examples of `watched`, short ones where there are some; training continues after `step`.
  TrainingReport(const TrainOptions& options, const Model& model, const Corpus& watched, std::int64_t step);

  /// Records the initialisation on `corpus` and the attention maps of step 0; call it before the first step.
  /// Returns the text for the terminal.
  std::string begin(const Corpus& corpus);
  nn::TimelineRecorder& recorder() { return recorder_; }
  /// Logs the recorder's sample after `step`.
  void sampled(const TimelineSample& sample);
  /// Logs a validation; `last` marks that of an interrupted run, which resuming drops.
  void validated(std::int64_t step, double loss, bool last);
  /// Writes the page in its present state.
  void write();
  /// Records the last attention maps, writes the page, and returns the sparklines for the terminal.
  std::string finish(std::int64_t step);

 private:
  struct Example {
    std::vector<Index> source, fed;  // fed: bos and the target
  };
  static std::vector<Example> choose(const Corpus& corpus);
  void name_tokens();

  const TrainOptions& options_;
  const Model& model_;
  std::vector<Example> examples_;
  nn::TimelineRecorder recorder_;
  std::optional<ReportLog> log_;
};

}  // namespace tapegrad::seq2seq
