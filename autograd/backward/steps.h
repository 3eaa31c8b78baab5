/// A backward pass that stops after every op, for debuggers, the explorer and teaching.
#pragma once
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../base/source_location.h"
#include "../tape.h"

namespace tapegrad {

class BackwardPass;

/// One step of a backward pass: the rule of one op turns the cotangents of its outputs into contributions to
/// the gradients of its inputs.
///
/// Vars are readable as long as the recording; `output_grads` until the tape's reset, or a rewind to before
/// this step; `input_grads` owns its memory.
struct Step {
  std::uint32_t node = 0;  ///< position on the tape
  std::string_view op;
  std::string path;                            ///< of the layer that ran the op
  std::string_view formula;                    ///< `y = …;  dx = …`
  SourceLocation where;                        ///< of the rule: the file and the line of its formula
  std::vector<Var> inputs = {}, outputs = {};  ///< saved results come last
  /// dloss/doutput, complete: equal to `tape.backward(loss)[output]`; empty where none arrived.
  std::vector<Tensor> output_grads = {};
  /// The contribution to dloss/dinput; empty where no gradient is needed, and for a checkpoint, which is one
  /// step.
  std::vector<Tensor> input_grads = {};
};

struct StepOptions {
  Tensor cotangent = {};  ///< of the loss, instead of 1
  /// Called for every step but checkpoints, before its contributions are added. It may change `input_grads`,
  /// to show the effect of a broken rule: not its shapes, and an empty tensor sends nothing. Gradients are
  /// then sums of the contributions, rounded differently from `backward`'s. It may read the tape, but not use
  /// the steps or drop anything.
  std::function<void(Step&)> intervene = {};
};

/// A backward pass that stops after every op.
///
///     for (const Step& s : backward_steps(loss))
///       fmt::print("{} {}: {}\n", s.path, s.op, s.output_grads[0]);
///
/// The complete pass gives the gradients of `tape.backward(loss)`, bit for bit. Between steps the tape may be
/// read, recorded on, and walked back by other passes. Any use throws after the tape was reset, rewound to
/// before the last step, consumed or destroyed, and after a step that threw. Movable; for one thread.
class BackwardSteps {
 public:
  /// Throws as `backward(loss)` does. Use `backward_steps` to make one.
  BackwardSteps(Tape& tape, const Var& loss, const StepOptions& options = {});
  ~BackwardSteps();
  BackwardSteps(BackwardSteps&&) noexcept;
  BackwardSteps& operator=(BackwardSteps&&) noexcept;

  /// Walks the next op that a gradient reaches; false when none is left.
  bool next();
  /// The step that `next` made last; throws before the first and after the last.
  const Step& current() const;

  /// Breakpoints: advance to the next step that fits, after the current one; false when none does.
  bool run_to(const std::function<bool(const Step&)>& fits);
  bool run_to_op(std::string_view op);
  /// `pattern` as in ParameterStore::freeze, over `path` and over `path.op`.
  bool run_to_path(std::string_view pattern);
  /// Stops at a NaN or an infinity among the step's values and gradients, saved results excepted.
  bool run_to_non_finite();

  /// A copy of the part of dloss/dx that has arrived; empty when nothing has.
  Tensor so_far(const Var& x) const;
  /// Walks the remaining steps and returns all gradients.
  Gradients gradients();

  class Iterator {
   public:
    using value_type = Step;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(BackwardSteps* steps) : steps_(steps) { ++*this; }
    const Step& operator*() const { return steps_->current(); }
    const Step* operator->() const { return &steps_->current(); }
    Iterator& operator++() {
      if (!steps_->next()) steps_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.steps_ == nullptr; }

   private:
    BackwardSteps* steps_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  void check_alive() const;
  void fill(std::uint32_t i);

  Tape* tape_;
  Var loss_;
  StepOptions options_;
  std::unique_ptr<BackwardPass> pass_;
  HandleId id_;
  std::uint32_t left_;  // nodes that were not visited yet
  Step step_;
  bool stepped_ = false, failed_ = false;
  std::optional<Gradients> gradients_;
};

/// The backward pass of `loss`, one op at a time.
BackwardSteps backward_steps(const Var& loss, const StepOptions& options = {});

}  // namespace tapegrad
