/// The tape: records operations in execution order, and walks them back.
///
/// Execution order is a topological order, so the backward pass is one reverse loop (backward/backward.cpp):
/// no recursion over a graph and no visited set. Observers (observe/), checkpoints and the pass itself
/// (backward/), replay and the explorer (inspect/) attach to it from outside.
#pragma once
#include <unordered_map>
#include <vector>

#include "gradients.h"
#include "memory/arena_objects.h"
#include "node.h"
#include "observe/observers.h"
#include "operand.h"
#include "options.h"

namespace tapegrad {

/// A recording of operations and their values. Any number of tapes may exist at once; each is for one thread.
/// Values live in an arena that `reset()` rewinds, so a steady state allocates nothing. A node appears only
/// after its forward succeeded: an exception leaves the tape as it was.
class Tape {
 public:
  explicit Tape(const TapeOptions& options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A copy of `x` through which no gradient flows. Its dtype must be the tape's.
  Var constant(const Tensor& x) { return leaf(x, false, "constant"); }
  Var constant(const Nested& values) { return constant(Tensor::of(values, options_.dtype)); }
  Var constant(std::initializer_list<Nested> values) { return constant(Tensor::of(values, options_.dtype)); }
  /// A scalar or a filled array in the tape's dtype, without an allocation.
  Var full(Shape shape, double value);
  /// A copy of `x` that gradients are computed for.
  Var variable(const Tensor& x) { return leaf(x, true, "variable"); }
  Var variable(const Nested& values) { return variable(Tensor::of(values, options_.dtype)); }
  Var variable(std::initializer_list<Nested> values) { return variable(Tensor::of(values, options_.dtype)); }
  /// The leaf of a parameter in this recording, made once; converted when the tape computes in another dtype.
  Var operator[](const Parameter& p);
  /// The Var of an operand: itself, the leaf of its parameter, or an empty Var.
  Var operator[](const Operand& operand);

  /// Runs `op` and records it; returns its visible results. Call it through `apply_all` (record.h).
  /// Here and in `record_one`, `expands` decides between the kernel of a fused op and its parts.
  template <class O>
  VarList record(const O& op, std::span<const Operand> inputs);
  /// Runs `op` and returns its first result alone. Call it through `apply` (record.h).
  template <class O>
  Var record_one(const O& op, std::span<const Operand> inputs);

  /// Gradients of `loss` with respect to everything recorded before it. `loss` must have one element unless a
  /// cotangent is given.
  Gradients backward(const Var& loss, const BackwardOptions& options = {});

  /// Forgets everything recorded; handles become stale, memory stays reserved. The draw counter starts again.
  void reset() { reset(options_.step, options_.shard); }
  /// `reset()`, and later draws are those of this step (and shard).
  void reset(std::uint64_t step, std::uint64_t shard = 0);
  /// Returns memory that nothing uses now to the system.
  void shrink();
  /// A point of the recording. `rewind` drops all values, taps and gradients made after it, such as those of
  /// one step of decoding, and throws when the mark is of another tape, of before a reset, or of what was
  /// dropped since.
  struct Mark;
  Mark mark() const;
  void rewind(const Mark& mark);
  /// Calls `body`; when it throws, drops what it left on the tape, such as arrays kept for an op that refused
  /// its inputs.
  template <class Body>
  auto with_rollback(Body&& body);

  const TapeOptions& options() const { return options_; }
  DType dtype() const { return options_.dtype; }
  bool training() const { return options_.training; }
  /// Turns training on or off for what is recorded from now on, as `model.train()` and `model.eval()` do in
  /// PyTorch: only a tape in training applies dropout.
  void set_training(bool on) { options_.training = on; }
  std::size_t size() const { return nodes_.size(); }
  /// Bytes of values and bookkeeping in use, and the most there ever were.
  std::size_t bytes() const;
  std::size_t peak_bytes() const;

  /// The taps, layer hooks and gradient hooks of this tape.
  Observers& observers() { return observers_; }
  const Observers& observers() const { return observers_; }
  /// Passes the result of the layer `path` to the observers.
  void observe(const std::string& path, const Var& result);
  /// The module path that new nodes carry; RecordScope sets it.
  const std::string* path() const { return path_; }
  void set_path(const std::string* path) { path_ = path; }

  /// The key of the next random draw of this step.
  RandomKey next_draw() { return random_key(options_.seed, options_.step, options_.shard, draws_++); }
  /// A copy of an index or mask tensor in the arena, for an op's attributes.
  TensorView copy_to_arena(const Tensor& data);

  /// Result `output` of the node at `index`.
  Var handle(std::uint32_t index, std::uint32_t output = 0) const {
    return {{slot_, nodes_[index].serial, index}, output};
  }
  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  std::uint32_t flat_number(const Var& x) const { return nodes_[x.id().node].first_output + x.output(); }
  const FlatOutput& flat(std::uint32_t number) const { return flat_[number]; }
  /// Value of the flat output `number`.
  const TensorView& output(std::uint32_t number) const { return *flat_[number].view; }

  /// Returns true when `handle` names a value that still exists and was not consumed.
  bool alive(const HandleId& handle) const {
    if (handle.node == HandleId::pass) return alive_pass(handle.serial);
    return holds(handle) && (consumed_loss_ == 0 || handle.serial == consumed_loss_);
  }
  /// Throws if a valid handle's value is unreadable: its parameter changed.
  void check_readable(std::string_view op, const HandleId& handle) const {
    if (handle.node != HandleId::pass) check_version(op, nodes_[handle.node]);
  }
  /// Throws when the parameter of a leaf was updated: the leaf shares its memory, so the recorded values are
  /// gone.
  void check_version(std::string_view op, const Node& node) const {
    if (node.outdated()) [[unlikely]]
      throw_version(op, node);
  }
  /// Throws, naming `op`, when the recording was consumed or a gradient hook runs.
  void check_open(std::string_view op) const;

 private:
  friend class Var;
  friend struct HandleId;
  friend class BackwardPass;
  friend class Checkpoints;
  friend class Gradients;
  friend class Replay;

  /// The fused ops that are recorded as what they are made of.
  enum class Expand : std::uint8_t { none, composites, all };

  bool expands(const Fused& op, bool composite) const;
  VarList define(const Fused& op, std::span<const Operand> inputs, bool composite);
  void observe_parts(std::span<const Part> parts, const Var& first);
  template <class O>
  Var append(const O& op, std::span<const Operand> inputs);
  Var append(const Op& op, const OpType& type, OpTraits traits, std::span<const Operand> inputs);
  Var leaf(const Tensor& x, bool needs_grad, const char* kind);
  Var append_leaf(const TensorView& view, bool needs_grad);
  Var number(Node& node);
  const Var& on_tape(const Operand& operand, Var& parameter_leaf);
  bool holds(const HandleId& handle) const {
    return handle.slot == slot_ && handle.node < nodes_.size() && nodes_[handle.node].serial == handle.serial;
  }
  bool alive_pass(std::uint64_t serial) const;
  void check_finite(const Op& op, Views inputs, Views outputs, const std::uint32_t* numbers,
                    std::size_t position) const;
  void check_finite(const Op& op, const VarList& inputs, const VarList& outputs, std::size_t position) const;
  [[noreturn]] void refuse(const Op& op, OpTraits traits, std::size_t inputs) const;
  [[noreturn]] void throw_stale(std::string_view op, const HandleId& handle) const;
  [[noreturn]] void throw_version(std::string_view op, const Node& leaf) const;
  [[noreturn]] void throw_operand(std::string_view op, std::span<const Operand> inputs) const;

  TapeOptions options_;
  Expand expand_;
  HandleSlot* slot_ = nullptr;
  Arena arena_, gradient_arena_;
  ArenaObjects objects_{arena_};  // the functions and arguments of checkpoints
  ArenaVector<Node> nodes_;
  ArenaVector<FlatOutput> flat_;         // every output of every node, in order
  std::uint64_t draws_ = 0, epoch_ = 0;  // epoch_: serial of the last reset
  Observers observers_;
  const std::string* path_;
  std::uint64_t consumed_loss_ = 0;         // serial of the loss that consumed this recording, or 0
  std::vector<std::uint64_t> live_passes_;  // ascending
  /// The leaf of a parameter. Entries stay over resets: no allocation in the steady state.
  struct ParameterLeaf {
    HandleId handle;
    Parameter parameter;  // keeps it alive as long as a node may point to it
    bool pinned = false;  // while a checkpoint runs again: the leaf stays as recorded, even if frozen since
  };
  std::unordered_map<const ParameterData*, ParameterLeaf> parameter_leaves_;
};

struct Tape::Mark {
  const HandleSlot* slot = nullptr;
  std::uint64_t epoch = 0, serial = 0, last = 0,
                draws = 0;  // `serial`: the next one; `last`: of the last node
  std::size_t nodes = 0, outputs = 0, arena = 0, gradients = 0, taps = 0, watched = 0;
};

template <class Body>
auto Tape::with_rollback(Body&& body) {
  const Mark before = mark();
  try {
    return body();
  } catch (...) {
    rewind(before);
    throw;
  }
}

}  // namespace tapegrad

#include "record.h"
