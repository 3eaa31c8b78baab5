#pragma once
#include <memory>
#include <new>
#include <string>
#include <unordered_map>

#include <tapegrad/autograd/arena.h>
#include <tapegrad/autograd/gradients.h>
#include <tapegrad/autograd/hooks.h>
#include <tapegrad/autograd/op.h>
#include <tapegrad/autograd/parameter.h>
#include <tapegrad/autograd/random.h>
#include <tapegrad/autograd/taps.h>

namespace tapegrad {

struct TapeOptions {
  DType dtype = DType::f32;  ///< the one dtype that this tape computes in
  bool training = false;     ///< dropout is active
  bool fused = true;         ///< run fused kernels; false records their definitions in primitive ops
  /// false: same values, but nothing can be walked back and no op is kept. Values stay until `rewind` or
  /// `reset`.
  bool record = true;
  bool sharded = false;    ///< part of a sharded step: layers that mix examples refuse to run
  std::uint64_t seed = 0;  ///< with `step` and `shard`, the key of every random draw
  std::uint64_t step = 0;
  std::uint64_t shard = 0;
};

struct BackwardOptions {
  /// Gives the recording up: afterwards any use but of the loss's value and of the returned gradients throws,
  /// until `reset()`, and so does asking for the gradient of anything but a variable or a parameter. The pass
  /// then reuses the memory of intermediate gradients while it runs. Training loops say it.
  bool consume = false;
  /// Records the pass itself, so that the gradients are Vars that can be differentiated again.
  bool create_graph = false;
  /// Starts from this instead of 1; needed when the result is not a single element, and of its shape.
  Tensor cotangent = {};
};

/// One recorded operation or leaf, in execution order.
struct Node {
  const Op* op = nullptr;                 // null for leaves and on tapes that do not record
  const std::uint32_t* inputs = nullptr;  // flat output numbers
  TensorView* outputs = nullptr;          // visible, then saved
  const Parameter* parameter = nullptr;
  std::uint64_t parameter_version = 0;
  const std::string* path = nullptr;
  std::uint64_t serial = 0;
  std::uint32_t first_output = 0;  // flat number of outputs[0]
  std::uint16_t input_count = 0, output_count = 0;
  bool needs_grad = false;
};

/// Records what runs, in execution order, which is a topological order: walking it back is one reverse loop.
/// Any number of tapes may live at once; each is for one thread. Values live in an arena that `reset()`
/// rewinds, so a steady state allocates nothing. A node appears only after its forward succeeded: after any
/// exception the tape is as it was.
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
  /// A copy of `x` whose gradient is wanted.
  Var variable(const Tensor& x) { return leaf(x, true, "variable"); }
  Var variable(const Nested& values) { return variable(Tensor::of(values, options_.dtype)); }
  Var variable(std::initializer_list<Nested> values) { return variable(Tensor::of(values, options_.dtype)); }
  /// The node of a parameter in this recording, made once; converted when the tape computes in another dtype.
  Var operator[](const Parameter& p);

  /// Gradients of `loss` with respect to everything recorded before it. `loss` must have one element unless a
  /// cotangent is given.
  Gradients backward(const Var& loss, const BackwardOptions& options = {});

  /// Forgets everything recorded; handles become stale, memory stays reserved. The draw counter starts again.
  void reset();
  /// `reset()`, and later draws are those of this step (and shard).
  void reset(std::uint64_t step, std::uint64_t shard = 0);
  /// Returns memory that nothing uses now to the system.
  void shrink();
  /// What was recorded after a mark can be dropped without touching what came before, e.g. between steps of
  /// decoding: values, taps, and the gradients of later passes. Throws when the mark is of another tape, of
  /// before a reset, or of what was dropped since.
  struct Mark {
    const LifetimeSlot* slot = nullptr;
    std::uint64_t epoch = 0, serial = 0, last = 0,
                  draws = 0;  // `serial`: the next one; `last`: of the last node
    std::size_t nodes = 0, outputs = 0, arena = 0, gradients = 0, taps = 0;
  };
  Mark mark() const;
  void rewind(const Mark& mark);
  /// Calls `body`. When it throws, drops what it left here, such as arrays kept for an op that refused its
  /// inputs.
  template <class Body>
  auto attempt(Body&& body) {
    const Mark before = mark();
    try {
      return body();
    } catch (...) {
      rewind(before);
      throw;
    }
  }

  const TapeOptions& options() const { return options_; }
  DType dtype() const { return options_.dtype; }
  bool training() const { return options_.training; }
  void set_training(bool on) { options_.training = on; }
  std::size_t size() const { return nodes_.size(); }
  /// Bytes of values and bookkeeping in use, and the most there ever were.
  std::size_t bytes() const;
  std::size_t peak_bytes() const;

  /// The key of the next random draw of this step.
  RandomKey next_draw();
  /// A copy of an index or mask tensor in the arena, for an op's attributes.
  TensorView keep(const Tensor& data);

  /// Runs `op` and records it; returns its visible results. `apply` below is the way to call it.
  template <class O>
  VarList record(const O& op, std::span<const Var> inputs) {
    if constexpr (std::is_base_of_v<Fused, O>)
      if (!options_.fused) return define(op, inputs);
    const Stamp stamp = append(op, sizeof(O), copy<O>, inputs);
    VarList results;
    for (int k = 0; k < op.outputs(); ++k) results.push_back({stamp, static_cast<std::uint32_t>(k)});
    return results;
  }
  /// The same; the first result alone.
  template <class O>
  Var record_one(const O& op, std::span<const Var> inputs) {
    if constexpr (std::is_base_of_v<Fused, O>)
      if (!options_.fused) return define(op, inputs)[0];
    return {append(op, sizeof(O), copy<O>, inputs), 0};
  }

  /// While it is set, on a tape that does not record, linear ops read transposed copies of parameters, which
  /// suit products of few rows, with the same bits. The tape keeps a copy, over resets too, until its
  /// parameter changes or `shrink`.
  void set_transposed_weights(bool on) { transposed_weights_ = on && !options_.record; }
  /// The transposed copy of a parameter's matrix; null while they are not set, and for other values.
  const void* transposed(const Var& weight) {
    return transposed_weights_ ? transposed_copy(weight) : nullptr;
  }

  /// The module path that new nodes carry; Layer sets it.
  const std::string* path() const { return path_; }
  void set_path(const std::string* path) { path_ = path; }

  /// Values inside layers that were asked for by name.
  Taps& taps() { return taps_; }
  /// Functions that run after layers, by path.
  LayerHooks& hooks() { return hooks_; }

  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  /// Value of the flat output `number`.
  const TensorView& output(std::uint32_t number) const { return *flat_[number].view; }

  /// Whether a stamp names something that still exists.
  bool alive(const Stamp& stamp) const;  // defined below
  /// Throws when what a living stamp names may no longer be read: a consumed recording, a parameter that
  /// changed.
  void check_readable(const Stamp& stamp) const;

 private:
  friend class Var;
  friend class BackwardPass;
  friend class Gradients;

  using Cloner = const Op* (*)(const Op&, void*);
  template <class O>
  static const Op* copy(const Op& op, void* at) {
    static_assert(std::is_trivially_destructible_v<O>,
                  "an op's attributes live in an arena: keep arrays with Tape::keep");
    return new (at) O(static_cast<const O&>(op));
  }
  Stamp append(const Op& op, std::size_t bytes, Cloner clone, std::span<const Var> inputs);
  VarList define(const Fused& op, std::span<const Var> inputs);
  Var leaf(const Tensor& x, bool needs_grad, const char* kind);
  bool alive_pass(std::uint64_t serial) const;
  Var append_leaf(const TensorView& view, bool needs_grad);
  Stamp append(Node& node);
  std::uint32_t flat_number(const Var& x) const { return nodes_[x.stamp().node].first_output + x.output(); }
  bool holds(const Stamp& stamp) const {
    return stamp.slot == slot_ && stamp.node < nodes_.size() && nodes_[stamp.node].serial == stamp.serial;
  }
  [[noreturn]] void throw_operand(std::string_view op, std::size_t position, const Var& x) const;
  void check_not_consumed(std::string_view op, const Stamp& stamp) const;
  /// A leaf shares its parameter's memory: after an update its values are not what was recorded.
  void check_version(std::string_view op, const Node& node) const {
    if (node.parameter != nullptr && node.parameter->version() != node.parameter_version) [[unlikely]]
      throw_version(op, node);
  }
  [[noreturn]] void throw_version(std::string_view op, const Node& leaf) const;
  const void* transposed_copy(const Var& weight);

  TapeOptions options_;
  LifetimeSlot* slot_ = nullptr;
  Arena arena_, gradient_arena_;
  ArenaVector<Node> nodes_;
  struct FlatOutput {
    TensorView* view;
    std::uint32_t node;
  };
  ArenaVector<FlatOutput> flat_;         // every output of every node, in order
  std::uint64_t draws_ = 0, epoch_ = 0;  // a serial of its own for every reset
  Taps taps_;
  LayerHooks hooks_;
  const std::string* path_;
  bool transposed_weights_ = false;
  std::uint64_t consumed_loss_ = 0;  // serial of the loss that consumed this recording, or 0
  std::vector<std::uint64_t> live_passes_;
  struct Lifted {
    Stamp stamp;
    Parameter parameter;  // keeps it alive as long as a node may point to it
    Tensor transposed;    // of `transposed_version`, or empty
    std::uint64_t transposed_version = 0;
  };
  std::unordered_map<const ParameterData*, Lifted>
      lifted_;  // entries stay over resets: no allocation in the steady state
};

inline bool Tape::alive(const Stamp& stamp) const {
  return stamp.node == Stamp::pass ? alive_pass(stamp.serial)
                                   : stamp.node < nodes_.size() && nodes_[stamp.node].serial == stamp.serial;
}

/// Asks the op for its name only where it goes into an error.
template <class Op>
  requires requires(const Op& op) { op.name(); }
Tape& Var::tape(const Op& op) const {
  if (stamp_.slot == nullptr || stamp_.slot->tape == nullptr || !stamp_.slot->tape->alive(stamp_))
      [[unlikely]]
    return tape(std::string_view(op.name()));
  return const_cast<Tape&>(*stamp_.slot->tape);
}

/// Runs `op` on the tape of its inputs: how every op's function ends. Throws when an input is empty, stale or
/// of another tape.
template <class O>
VarList apply_all(const O& op, std::span<const Var> inputs) {
  expects(!inputs.empty(), "{}: needs at least one input", op.name());
  return inputs[0].tape(op).record(op, inputs);
}
template <class O>
Var apply(const O& op, std::span<const Var> inputs) {
  expects(!inputs.empty(), "{}: needs at least one input", op.name());
  return inputs[0].tape(op).record_one(op, inputs);
}
template <class O>
Var apply(const O& op, std::initializer_list<Var> inputs) {
  return apply(op, std::span<const Var>(inputs.begin(), inputs.size()));
}

}  // namespace tapegrad
