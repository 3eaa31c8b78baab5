#pragma once
#include <functional>
#include <unordered_map>
#include <vector>

#include "../../autograd/inspect/timeline/timeline.h"

namespace tapegrad::nn {

/// Fixed examples that a training is watched by. `run(tape, i)` reads example i < count forward, alone: a
/// batch of one, so that nothing is padded. The attention maps are those of example 0.
struct WatchedExamples {
  std::size_t count = 0;
  std::function<void(Tape& tape, std::size_t example)> run;
};

struct TimelineRecorderOptions {
  std::int64_t every = 5;            ///< steps between samples, at first
  std::int64_t most_samples = 200;   ///< more, and every second one is dropped and the interval doubled
  std::int64_t most_snapshots = 22;  ///< the same for attention maps; those of step 0 and the end come on top
  DType dtype = DType::f32;          ///< what the watched examples are computed in
};

/// Fills a Timeline while a model is trained. It only looks: training has the same bits with and without.
///
///     TimelineRecorder recorder(params, examples);
///     for (…) {
///       const StepResult result = step.run(…);
///       const bool due = recorder.due(number);
///       if (due) recorder.before_update(result.gradients);  // before they are clipped
///       clip_grad_norm(result.gradients, 1.0);
///       adam.step(result.gradients);
///       if (due) recorder.after_update(number, result.loss(), adam.learning_rate());
///     }
///     write_html(recorder.timeline(), "report.html");
///
/// Layers are the parameters' paths without their last names. Attention layers are those that tap `weights`;
/// the gradient of a head is that of its rows in `in_proj_weight`, or in `q_proj_weight`, `k_proj_weight` and
/// `v_proj_weight`, and 0 without them. Costs a copy of the parameters.
class TimelineRecorder {
 public:
  TimelineRecorder(const ParameterStore& params, WatchedExamples examples,
                   const TimelineRecorderOptions& options = {});

  /// Whether step `step` (from 1 on) is one to sample.
  bool due(std::int64_t step) const;
  /// Whether attention maps are kept after this step; true of 0.
  bool snapshot_due(std::int64_t step) const;
  void before_update(const Gradients& gradients);
  /// Adds the sample of `step` to the timeline, thinned.
  const TimelineSample& after_update(std::int64_t step, double loss, double learning_rate);
  /// Adds the maps as they are now, thinned.
  const AttentionSnapshot& snapshot(std::int64_t step);

  /// Titles, facts and tokens are for the caller to set, and what a resumed training had before.
  Timeline& timeline() { return timeline_; }
  /// Drops what is too dense for a timeline of `last` steps.
  void thin(std::int64_t last);

 private:
  struct Watched {
    Parameter parameter;
    std::size_t layer;
    std::vector<std::byte> before;
  };
  struct HeadRows {
    Parameter weight;
    Index blocks = 1;  // of which each has rows of every head
  };
  void look(TimelineSample& sample);
  void head_gradients(std::size_t attention, const Gradients& gradients);

  WatchedExamples examples_;
  TimelineRecorderOptions options_;
  Timeline timeline_;
  Tape tape_;
  std::vector<Watched> parameters_;
  std::unordered_map<const ParameterData*, std::size_t> layers_;
  std::vector<std::vector<HeadRows>> projections_;  // of every attention layer
  TimelineSample next_;
};

}  // namespace tapegrad::nn
