#pragma once
#include <memory>
#include <new>
#include <string>
#include <unordered_map>

#include "base/random.h"
#include "gradients.h"
#include "memory/arena.h"
#include "observe/hooks.h"
#include "observe/taps.h"
#include "op.h"
#include "parameter.h"

namespace tapegrad {

class BackwardSteps;
class Replay;
struct StepOptions;

struct TapeOptions {
  DType dtype = DType::f32;  ///< the one dtype that this tape computes in
  bool training = false;     ///< dropout is active
  bool fused = true;         ///< run fused kernels; false records their definitions in primitive ops
  bool show_parts = false;   ///< record ops that are composites of others as their parts, to look at
  /// Stop at the first op, forward or backward, that makes a NaN or an infinity: a NonFiniteError names it.
  bool check = false;
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
  /// Where the gradients of variables and parameters go instead of onto the tape. The arena's owner decides
  /// how long their memory lasts: it outlives the tape's `reset()`, which ends the handle alone.
  Arena* leaf_gradients = nullptr;
};

/// One recorded operation or leaf, in execution order. As large as a cache line.
struct alignas(64) Node {
  const Op* op = nullptr;                 // null for leaves and on tapes that do not record
  const std::uint32_t* inputs = nullptr;  // flat output numbers
  TensorView* outputs = nullptr;          // visible, then saved
  const Parameter* parameter = nullptr;
  const std::string* path = nullptr;
  std::uint64_t serial = 0;
  std::uint32_t parameter_version = 0;  // its lower half
  bool needs_grad = false;
  bool checkpoint = false;    // a backward pass records it again, see checkpoint.h
  bool has_backward = false;  // the op has one, and can say something in these functions:
  bool overwrites : 1 = false, passes_on : 1 = false, completes : 1 = false;
  bool watched : 1 = false;        // a gradient hook waits for it
  std::uint32_t first_output = 0;  // flat number of outputs[0]
  std::uint16_t input_count = 0, output_count = 0;

  /// Whether `parameter` has another value than was recorded.
  bool outdated() const {
    return parameter != nullptr && static_cast<std::uint32_t>(parameter->version()) != parameter_version;
  }
};
static_assert(sizeof(Node) == 64);

/// An operand of an op: a Var that is not copied. For the length of a call.
class Operand {
 public:
  Operand(const Var& x) : x_(&x) {}
  const Var& operator*() const { return *x_; }
  const Var* operator->() const { return x_; }

 private:
  const Var* x_;
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
  /// The same one op at a time: `for (const Step& s : tape.backward_steps(loss))`; see
  /// autograd/observe/steps.h.
  BackwardSteps backward_steps(const Var& loss, StepOptions options);
  BackwardSteps backward_steps(const Var& loss);
  /// What all that depends on `x` would be, had `x` this value; the tape stays as it is. See
  /// autograd/inspect/replay/replay.h.
  Replay replay_from(const Var& x, const Tensor& value) const;

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
    std::size_t nodes = 0, outputs = 0, arena = 0, gradients = 0, taps = 0, watched = 0;
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

  /// Makes a T in the arena, which is destroyed when what was recorded now is dropped.
  template <class T, class... Args>
  T& own(Args&&... args) {
    static_assert(alignof(T) <= 16);
    void* at = arena_.allocate(sizeof(T));
    owned_.push_back({at, [](void*) {}});
    T& made = *new (at) T(std::forward<Args>(args)...);
    owned_.back().destroy = [](void* object) { static_cast<T*>(object)->~T(); };
    return made;
  }

  /// Runs `op` and records it; returns its visible results. `apply` below is the way to call it.
  template <class O>
  VarList record(const O& op, std::span<const Operand> inputs) {
    if constexpr (std::is_base_of_v<Fused, O>)
      if (expands<O>()) return define(op, inputs, is_composite<O>());
    const Stamp stamp = append(op, OpType::of<O>(), OpTraits::of(op), inputs).stamp();
    VarList results;
    for (int k = 0; k < op.outputs(); ++k) results.push_back({stamp, static_cast<std::uint32_t>(k)});
    return results;
  }
  /// The same; the first result alone.
  template <class O>
  Var record_one(const O& op, std::span<const Operand> inputs) {
    if constexpr (std::is_base_of_v<Fused, O>)
      if (expands<O>()) return define(op, inputs, is_composite<O>())[0];
    return append(op, OpType::of<O>(), OpTraits::of(op), inputs);
  }

  /// The module path that new nodes carry; Layer sets it.
  const std::string* path() const { return path_; }
  void set_path(const std::string* path) { path_ = path; }

  /// Values inside layers that were asked for by name.
  Taps& taps() { return taps_; }
  /// Functions that run after layers, by path.
  LayerHooks& hooks() { return hooks_; }
  /// Functions that run in the backward pass when the gradient of a layer's result is known, by path.
  GradientHooks& gradient_hooks() { return gradient_hooks_; }
  /// Whether what the layer `path` does may go into one op with its neighbours: nobody looks at its result.
  bool may_fuse(const std::string& path) const {
    return options_.fused && !options_.show_parts && !hooks_.wants(path) && !gradient_hooks_.wants(path);
  }
  /// Runs the hooks of `path` for the result of its layer.
  void run_hooks(const std::string& path, const Var& result) {
    hooks_.run(path, result);
    if (!gradient_hooks_.empty()) watch_gradient(path, result);
  }

  /// Result `output` of the node at `index`.
  Var handle(std::uint32_t index, std::uint32_t output = 0) const {
    return {{slot_, nodes_[index].serial, index}, output};
  }
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
  friend class BackwardSteps;
  friend class Gradients;
  friend class Recomputation;
  friend class Replay;

  Var append(const Op& op, const OpType& type, OpTraits traits, std::span<const Operand> inputs);
  [[noreturn]] void refuse(const Op& op, OpTraits traits, std::size_t inputs) const;
  VarList define(const Fused& op, std::span<const Operand> inputs, bool composite);
  template <class O>
  static constexpr bool is_composite() {
    if constexpr (requires { O::composite; }) return O::composite;
    return false;
  }
  template <class O>
  bool expands() const {
    return !options_.fused || (is_composite<O>() && options_.show_parts);
  }
  void check_finite(const Op& op, Views inputs, Views outputs, const std::uint32_t* numbers,
                    std::size_t position) const;
  void check_finite(const Op& op, const VarList& inputs, const VarList& outputs, std::size_t position) const;
  void watch_gradient(const std::string& path, const Var& result);
  Var leaf(const Tensor& x, bool needs_grad, const char* kind);
  bool alive_pass(std::uint64_t serial) const;
  [[noreturn]] void throw_stale(std::string_view op, const Stamp& stamp) const;
  void drop_owned(std::size_t used);
  Var append_leaf(const TensorView& view, bool needs_grad);
  Stamp append(const Node& node) { return number(nodes_.push_back(node)).stamp(); }
  /// Gives the node at the end of the tape its serial, and its outputs their flat numbers.
  Var number(Node& node);
  std::uint32_t flat_number(const Var& x) const { return nodes_[x.stamp().node].first_output + x.output(); }
  bool holds(const Stamp& stamp) const {
    return stamp.slot == slot_ && stamp.node < nodes_.size() && nodes_[stamp.node].serial == stamp.serial;
  }
  /// A pass reads the tape while its gradient hooks run.
  void check_no_hook(std::string_view op) const {
    if (hooked_ != nullptr) [[unlikely]]
      throw_hooked(op);
  }
  [[noreturn]] void throw_hooked(std::string_view op) const;
  [[noreturn]] void throw_operand(std::string_view op, std::size_t position, const Var& x) const;
  void check_not_consumed(std::string_view op, const Stamp& stamp) const;
  /// A leaf shares its parameter's memory: after an update its values are not what was recorded.
  void check_version(std::string_view op, const Node& node) const {
    if (node.outdated()) [[unlikely]]
      throw_version(op, node);
  }
  [[noreturn]] void throw_version(std::string_view op, const Node& leaf) const;
  Var input_of(const Node& checkpoint, const Parameter& p) const;

  TapeOptions options_;
  LifetimeSlot* slot_ = nullptr;
  Arena arena_, gradient_arena_;
  ArenaVector<Node> nodes_;
  struct FlatOutput {
    const TensorView* view;
    std::uint32_t node;
    bool needs_grad, leaf, of_parameter;  // what its node says, where a backward pass looks for it
  };
  ArenaVector<FlatOutput> flat_;         // every output of every node, in order
  std::uint64_t draws_ = 0, epoch_ = 0;  // a serial of its own for every reset
  Taps taps_;
  LayerHooks hooks_;
  GradientHooks gradient_hooks_;
  struct Watched {
    std::uint32_t node, output;
    const std::string* path;
  };
  std::vector<Watched> watched_;  // in the order in which the layers ran
  const std::string* path_;
  std::uint64_t consumed_loss_ = 0;  // serial of the loss that consumed this recording, or 0
  struct Owned {
    void* object;
    void (*destroy)(void*);
  };
  std::vector<Owned> owned_;                // in the arena, in its order
  std::uint32_t checkpoint_room_ = 0;       // values that a checkpoint records again at most
  const std::string* hooked_ = nullptr;     // the layer whose gradient hooks run now
  const Node* running_again_ = nullptr;     // a checkpoint whose function runs now
  std::vector<std::uint64_t> live_passes_;  // ascending
  struct Lifted {
    Stamp stamp;
    Parameter parameter;  // keeps it alive as long as a node may point to it
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

namespace detail {

/// The tape of the first operand; whether the operand still exists is for the tape to find out.
template <class O>
Tape& tape_of_operands(const O& op, std::span<const Operand> inputs) {
  expects(!inputs.empty(), "{}: needs at least one input", op.name());
  const LifetimeSlot* slot = inputs[0]->stamp().slot;
  if (slot == nullptr || slot->tape == nullptr) [[unlikely]]
    return inputs[0]->tape(std::string_view(op.name()));
  return const_cast<Tape&>(*slot->tape);
}

}  // namespace detail

/// Runs `op` on the tape of its inputs: how every op's function ends. Throws when an input is empty, stale or
/// of another tape.
template <class O>
Var apply(const O& op, std::initializer_list<Operand> inputs) {
  const std::span<const Operand> operands(inputs.begin(), inputs.size());
  return detail::tape_of_operands(op, operands).record_one(op, operands);
}
template <class O>
Var apply(const O& op, std::span<const Var> inputs) {
  const ScratchVector<Operand> operands(inputs.begin(), inputs.end());
  return detail::tape_of_operands<O>(op, operands).record_one(op, operands);
}
template <class O>
VarList apply_all(const O& op, std::span<const Var> inputs) {
  const ScratchVector<Operand> operands(inputs.begin(), inputs.end());
  return detail::tape_of_operands<O>(op, operands).record(op, operands);
}

}  // namespace tapegrad
