#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "../../tape.h"

namespace tapegrad {

/// A recording run again beside itself with other values: counterfactual edits (a head set to zero, a score
/// changed, a token dropped), numerical derivatives, other precisions. The tape stays as it is. Values that
/// nothing changed are the recorded ones; draws of dropout, indices and masks are the recorded ones too.
///
///     Replay replay(tape);
///     replay.set(weights, zeros);
///     replay.run();
///     double change = replay[loss].item() - loss.item();
///
/// Only what depends on a changed value runs again; where a result of an op is changed, that op does not run.
/// Without any change the values have the recorded bits. Nothing is allocated when the same values change
/// again. Movable, and what was moved from throws; for one thread.
///
/// Throws when the tape was reset, rewound, consumed or destroyed since, when it does not record, when a
/// parameter that is read was updated since, and when a checkpoint would have to run: it keeps no recording
/// of what it computed. A result inside of a fused op, such as the weights of attention, can be changed on a
/// tape with `.show_parts`.
class Replay {
 public:
  /// Of everything recorded so far on `tape`.
  explicit Replay(const Tape& tape);
  /// The same in another precision: leaves are converted, and everything is computed again at once.
  Replay(const Tape& tape, DType dtype);
  Replay(Replay&&) = default;
  Replay& operator=(Replay&&) = default;

  /// Another value for a recorded one, of its shape and in the replay's dtype.
  void set(const Var& x, const Tensor& value);
  /// The same for one element, row-major; the others are what they are.
  void set(const Var& x, Index element, double value);
  /// Adds to one element of x, row-major.
  void add(const Var& x, Index element, double amount);
  /// Takes all changes back.
  void clear();

  /// Computes what depends on the changed values: all of it, or what `last` needs.
  void run(const Var& last = {});
  /// The value of x after `run`; stale (and throwing) after the next `run`, change or `clear`.
  Tensor operator[](const Var& x) const;

  /// Walks back from `loss`, of one element, over the values of the last `run`. A changed value counts as a
  /// variable: it has a gradient, and what computed it gets nothing from it.
  void backward(const Var& loss);
  /// dloss/dx of the last `backward`, empty when nothing flows to x; stale like values.
  Tensor gradient(const Var& x) const;

  DType dtype() const { return dtype_; }

 private:
  enum class State : std::uint8_t { base, changed, computed, outdated };
  struct Call {
    const Op* op;
    std::uint32_t views, inputs, outputs;  // from views_[views] on
  };
  struct Release {
    void operator()(LifetimeSlot* slot) const { release_slot(slot); }
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
  Var last_recorded_;  // tells whether the recording is still there
  DType dtype_;
  std::uint32_t nodes_;
  std::unique_ptr<Arena> arena_ = std::make_unique<Arena>();
  std::unique_ptr<LifetimeSlot, Release> slot_{acquire_slot(nullptr)};  // of the values handed out
  std::vector<std::uint32_t> owner_;                                    // by flat output: its node
  std::vector<TensorView> base_;  // by flat output, in another precision; empty in the tape's own
  std::vector<TensorView> own_;   // by flat output; empty where none was needed yet
  std::vector<State> state_;      // by flat output: whether own_ holds the value
  std::vector<std::uint32_t> changed_;

  // What `run` does for these changes and the last value `scheduled_for_`.
  std::optional<std::uint32_t> scheduled_for_;
  std::vector<Call> calls_;
  std::vector<const TensorView*> views_;
  std::vector<std::uint32_t> parameters_;  // nodes read
  std::deque<TensorView> discarded_;       // results of an op that is run for its other results
  bool ready_ = true;                      // nothing changed since `run`

  std::unique_ptr<Tape> walked_;  // what `backward` walks: the same nodes over the replay's values
  Gradients gradients_;
};

}  // namespace tapegrad
