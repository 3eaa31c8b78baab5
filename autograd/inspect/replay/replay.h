/// Replay: runs a recording again with changed values, beside the tape.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

/// Runs a recording again with changed values: for counterfactual edits (a head set to zero, a score changed,
/// a token dropped), numerical derivatives and other precisions. The tape stays unchanged. Values that do not
/// depend on a change are the recorded ones, as are dropout draws, indices and masks.
///
///     Replay replay(tape);
///     replay.set(weights, zeros);
///     replay.run();
///     double change = replay[loss].item() - loss.item();
///
/// Only ops that depend on a changed value run again; an op whose result is changed does not run. Without
/// changes the values have the recorded bits. Changing a value again allocates nothing. Movable, and a
/// moved-from Replay throws; for one thread.
///
/// Throws when the tape does not record or was reset, rewound, consumed or destroyed since, when a parameter
/// that is read was updated since, and when a checkpoint would have to run, since a checkpoint has no
/// recording of its ops. Results inside of a fused op, such as the weights of attention, can be changed on a
/// tape with `.show_parts`.
class Replay {
 public:
  /// Replays everything recorded so far on `tape`.
  explicit Replay(const Tape& tape);
  /// Replays in another precision: converts the leaves and computes everything again immediately.
  Replay(const Tape& tape, DType dtype);
  Replay(Replay&&) = default;
  Replay& operator=(Replay&&) = default;

  /// Replaces the value of x; `value` has x's shape and the replay's dtype.
  void set(const Var& x, const Tensor& value);
  /// Replaces one element of x, row-major.
  void set(const Var& x, Index element, double value);
  /// Adds to one element of x, row-major.
  void add(const Var& x, Index element, double amount);
  /// Undoes all changes.
  void clear();

  /// Computes every value that depends on the changes, or only those that `last` needs.
  void run(const Var& last = {});
  /// The value of x after `run`; stale (and throwing) after the next `run`, change or `clear`.
  Tensor operator[](const Var& x) const;

  /// Walks back from `loss`, of one element, over the values of the last `run`. A changed value is a
  /// variable: it has a gradient, and passes none to the op that computed it.
  void backward(const Var& loss);
  /// dloss/dx of the last `backward`, empty when no gradient flows to x; stale as values are.
  Tensor gradient(const Var& x) const;

  DType dtype() const { return dtype_; }

 private:
  enum class State : std::uint8_t { base, changed, computed, outdated };
  struct Call {
    const Op* op;
    std::uint32_t views, inputs, outputs;  // from views_[views] on
  };
  struct Release {
    void operator()(HandleSlot* slot) const { release_slot(slot); }
  };

  void check() const;
  void compute_base();
  std::uint32_t number_of(const Var& x) const;
  const TensorView& base(std::uint32_t flat) const;
  const TensorView& current(std::uint32_t flat) const;
  TensorView make_like(std::uint32_t flat);
  const TensorView& own(std::uint32_t flat);
  const TensorView& change(std::uint32_t flat);
  void touch();
  void forget_computed();
  void schedule(std::uint32_t last);
  void plan(std::uint32_t node);
  bool all_changed(const Node& n) const;
  static void refuse_checkpoint(const Node& n);

  const Tape* tape_;
  Var last_recorded_;  // stale once the recording is gone
  DType dtype_;
  std::uint32_t nodes_;
  std::unique_ptr<Arena> arena_ = std::make_unique<Arena>();
  std::unique_ptr<HandleSlot, Release> slot_{acquire_slot(nullptr)};  // of the values handed out
  std::vector<std::uint32_t> owner_;                                  // by flat output: its node
  std::vector<TensorView> base_;  // by flat output, in another precision; empty in the tape's own
  std::vector<TensorView> own_;   // by flat output; empty until needed
  std::vector<State> state_;      // by flat output
  std::vector<std::uint32_t> changed_;

  // The schedule of `run` for these changes and the last value `scheduled_for_`.
  std::optional<std::uint32_t> scheduled_for_;
  std::vector<Call> calls_;
  std::vector<const TensorView*> views_;
  std::vector<std::uint32_t> parameters_;  // nodes read
  std::deque<TensorView> discarded_;       // results of an op that is run for its other results
  bool ready_ = true;                      // nothing changed since `run`

  std::unique_ptr<Tape> walked_;  // for `backward`: the recorded nodes over the replay's values
  Gradients gradients_;
};

}  // namespace tapegrad
