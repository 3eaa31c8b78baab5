#pragma once
#include <tapegrad/nn/train/timeline_recorder.h>

#include <optional>

#include "examples/seq2seq/corpus.h"
#include "examples/seq2seq/report_log.h"

namespace tapegrad::seq2seq {

/// `--report`: a timeline of the training in DIR/report.html, kept in DIR/report.jsonl.
class TrainingReport {
 public:
  /// Watches examples of `watched`, short ones where there are some. `step`: where training goes on.
  TrainingReport(const TrainOptions& options, const Model& model, const Corpus& watched, std::int64_t step);

  /// Before the first step: the initialisation on `corpus`, and the maps of step 0. Returns the text for the
  /// terminal.
  std::string begin(const Corpus& corpus);
  nn::TimelineRecorder& recorder() { return recorder_; }
  /// Logs what the recorder took after `step`.
  void sampled(const TimelineSample& sample);
  /// `last`: of a run that was cut short, not a part of what resuming goes on from.
  void validated(std::int64_t step, double loss, bool last);
  /// Writes the page, as of now.
  void write();
  /// Takes the last maps, writes the page, and returns the sparklines for the terminal.
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
