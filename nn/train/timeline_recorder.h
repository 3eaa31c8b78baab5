/// Records the timeline of a training run: losses, gradient norms and attention of fixed examples.
#pragma once
#include <functional>
#include <unordered_map>
#include <vector>

#include "../../autograd/inspect/timeline/timeline.h"

namespace tapegrad::nn {

/// The fixed examples of a training run's timeline. `run(tape, i)` computes the forward of example i < count,
/// alone: a batch of one, without padding. The attention maps are those of example 0.
struct WatchedExamples {
  std::size_t count = 0;
  std::function<void(Tape& tape, std::size_t example)> run;
};

struct TimelineRecorderOptions {
  std::int64_t every = 5;            ///< steps between samples, at first
  std::int64_t most_samples = 200;   ///< beyond, every second one is dropped and the interval doubled
  std::int64_t most_snapshots = 22;  ///< limit of attention maps, besides those of step 0 and the end
  DType dtype = DType::f32;          ///< dtype that the examples are computed in
};

/// Fills a Timeline while a model is trained. It changes no bit of the training.
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

  /// Returns true when step `step` (from 1 on) is to be sampled.
  bool due(std::int64_t step) const;
  /// Returns true when attention maps are kept after this step; always for step 0.
  bool snapshot_due(std::int64_t step) const;
  void before_update(const Gradients& gradients);
  /// Adds the sample of `step` to the timeline, and thins it.
  const TimelineSample& after_update(std::int64_t step, double loss, double learning_rate);
  /// Adds the current attention maps to the timeline, and thins it.
  const AttentionSnapshot& snapshot(std::int64_t step);

  /// The caller sets titles, facts and tokens, and the earlier samples of a resumed run.
  Timeline& timeline() { return timeline_; }
  /// Drops samples that are too dense for a timeline of `last` steps.
  void thin(std::int64_t last);

 private:
  struct Watched {
    Parameter parameter;
    std::size_t layer;
    std::vector<std::byte> before;
  };
  struct HeadRows {
    Parameter weight;
    Index blocks = 1;  // blocks of the weight; each has rows of every head
  };
  void look(TimelineSample& sample);
  void head_gradients(std::size_t attention, const Gradients& gradients);

  WatchedExamples examples_;
  TimelineRecorderOptions options_;
  Timeline timeline_;
  Tape tape_;
  std::vector<Watched> parameters_;
  std::unordered_map<const ParameterData*, std::size_t> layers_;
  std::vector<std::vector<HeadRows>> projections_;  // by attention layer
  TimelineSample next_;
};

}  // namespace tapegrad::nn
