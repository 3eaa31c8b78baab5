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
/// Vars are readable as long as the recording; `incoming` until the tape's reset, or a rewind to before this
/// step; `sent` is the step's own.
struct Step {
  std::uint32_t node = 0;  ///< place on the tape
  std::string_view op;
  std::string path;                            ///< of the layer that ran the op
  std::string_view formula;                    ///< `y = …;  dx = …`
  SourceLocation where;                  ///< of the rule: the file and the line of its formula
  std::vector<Var> inputs = {}, outputs = {};  ///< results that the op keeps for its rule come last
  /// dloss/doutput, complete: what `tape.backward(loss)[output]` is; empty where none arrived.
  std::vector<Tensor> incoming = {};
  /// What the rule adds to dloss/dinput; empty where no gradient is asked for. A checkpoint is one step that
  /// says nothing here.
  std::vector<Tensor> sent = {};
};

struct StepOptions {
  Tensor cotangent = {};  ///< of the loss, instead of 1
  /// Called for every step but checkpoints, before its contributions are added. It may change `sent` (not its
  /// shapes; an empty tensor sends nothing), to see what a broken rule does. Gradients are then sums of what
  /// was sent, rounded otherwise than `backward`'s. It may look, but not use the steps or drop anything.
  std::function<void(Step&)> intervene = {};
};

/// A backward pass that stands still after every op.
///
///     for (const Step& s : backward_steps(loss))
///       fmt::print("{} {}: {}\n", s.path, s.op, s.incoming[0]);
///
/// Walked to its end it leaves the gradients of `tape.backward(loss)`, bit for bit. In between one may
/// record, look, run other passes. Any use throws after the tape was reset, rewound to before the last step,
/// consumed, or is gone, and after a step that threw. Movable; for one thread.
class BackwardSteps {
 public:
  /// Throws what `backward(loss)` throws. `backward_steps` is the way to make one.
  BackwardSteps(Tape& tape, const Var& loss, const StepOptions& options = {});
  ~BackwardSteps();
  BackwardSteps(BackwardSteps&&) noexcept;
  BackwardSteps& operator=(BackwardSteps&&) noexcept;

  /// Walks the next op that a gradient reaches; false when none is left.
  bool next();
  /// The step that `next` made last; throws before the first and after the last.
  const Step& current() const;

  /// Breakpoints: walk on to the next step, after the current one, that fits; false when none does.
  bool run_to(const std::function<bool(const Step&)>& fits);
  bool run_to_op(std::string_view op);
  /// `pattern` as in ParameterStore::freeze, over `path` and over `path.op`.
  bool run_to_path(std::string_view pattern);
  /// A NaN or an infinity among the step's values and gradients, but for what an op keeps for its rule.
  bool run_to_non_finite();

  /// A copy of dloss/dx as far as it has come: empty when nothing has arrived yet.
  Tensor so_far(const Var& x) const;
  /// Walks what is left and gives the gradients of everything.
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
  Stamp stamp_;
  std::uint32_t left_;  // nodes that were not looked at yet
  Step step_;
  bool stepped_ = false, failed_ = false;
  std::optional<Gradients> gradients_;
};

/// The backward pass of `loss`, one op at a time.
BackwardSteps backward_steps(const Var& loss, const StepOptions& options = {});

}  // namespace tapegrad
