#include "tape.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "backward/checkpoint.h"
#include "base/temporarily.h"

namespace tapegrad {
namespace {

thread_local bool thread_ends = false;  // readable even after the thread's other variables are destroyed

/// Slots that no owner uses. Each thread has its own, so that a stale handle never looks at a slot that
/// another thread writes; what a thread leaves behind goes to all.
class FreeSlots {
 public:
  ~FreeSlots() {
    thread_ends = true;
    const std::lock_guard lock(mutex());
    left().insert(left().end(), slots_.begin(), slots_.end());
  }
  LifetimeSlot* take() {
    if (slots_.empty()) {
      const std::lock_guard lock(mutex());
      if (left().empty()) return new LifetimeSlot;  // never freed: handles may look at it for ever
      slots_.swap(left());
    }
    LifetimeSlot* slot = slots_.back();
    slots_.pop_back();
    return slot;
  }
  void give(LifetimeSlot* slot) { slots_.push_back(slot); }
  /// From owners that outlive the thread's variables, such as a static tape.
  static void leave(LifetimeSlot* slot) {
    const std::lock_guard lock(mutex());
    left().push_back(slot);
  }

 private:
  static std::mutex& mutex() {
    static auto& m = *new std::mutex;
    return m;
  }
  static std::vector<LifetimeSlot*>& left() {
    static auto& slots = *new std::vector<LifetimeSlot*>;
    return slots;
  }
  std::vector<LifetimeSlot*> slots_;
};

thread_local FreeSlots free_slots;

}  // namespace

LifetimeSlot* acquire_slot(const Tape* tape) {
  LifetimeSlot* slot = thread_ends ? new LifetimeSlot : free_slots.take();
  slot->tape = tape;
  return slot;
}

void release_slot(LifetimeSlot* slot) {
  slot->tape = nullptr;
  slot->live_pass = 0;
  thread_ends ? FreeSlots::leave(slot) : free_slots.give(slot);
}

bool Stamp::alive() const {
  if (slot->tape != nullptr) return slot->tape->alive(*this);
  return node == pass && slot->live_pass == serial;
}

Tape::Tape(const TapeOptions& options) : options_(options), path_(interned_path("")) {
  expects(can_compute(options.dtype), "Tape: computes in f32 or f64, got {}", dtype_name(options.dtype));
  slot_ = acquire_slot(this);  // last: nothing throws any more
  epoch_ = slot_->next_serial++;
}

Tape::~Tape() {
  drop_owned(0);
  release_slot(slot_);
}

/// Destroys what lies behind the first `used` bytes of the arena.
void Tape::drop_owned(std::size_t used) {
  while (!owned_.empty() && owned_.back().object >= arena_.base() + used) {
    const Owned last = owned_.back();
    owned_.pop_back();
    last.destroy(last.object);
  }
}

bool Tape::alive_pass(std::uint64_t serial) const {
  return std::binary_search(live_passes_.begin(), live_passes_.end(), serial);
}

void Tape::reset() { reset(options_.step, options_.shard); }

void Tape::reset(std::uint64_t step, std::uint64_t shard) {
  check_no_hook("reset");
  nodes_.truncate(0);
  flat_.truncate(0);
  drop_owned(0);
  arena_.rewind(0);
  gradient_arena_.rewind(0);
  draws_ = 0;
  epoch_ = slot_->next_serial++;
  watched_.clear();
  live_passes_.clear();
  taps_.clear();
  consumed_loss_ = 0;
  checkpoint_room_ = 0;
  options_.step = step;
  options_.shard = shard;
}

Tape::Mark Tape::mark() const {
  return {.slot = slot_,
          .epoch = epoch_,
          .serial = slot_->next_serial,
          .last = nodes_.size() > 0 ? nodes_[nodes_.size() - 1].serial : 0,
          .draws = draws_,
          .nodes = nodes_.size(),
          .outputs = flat_.size(),
          .arena = arena_.used(),
          .gradients = gradient_arena_.used(),
          .taps = taps_.collected().size(),
          .watched = watched_.size()};
}

void Tape::rewind(const Mark& mark) {
  check_no_hook("rewind");
  expects(mark.slot == slot_, "rewind: this mark was made on another tape");
  expects(mark.epoch == epoch_, "rewind: this mark is outdated, the tape was reset after it was made");
  // Nodes are a stack: where the mark's last one still stands, so do all before it.
  expects(mark.nodes <= nodes_.size() && (mark.nodes == 0 || nodes_[mark.nodes - 1].serial == mark.last) &&
              mark.arena <= arena_.used() && mark.gradients <= gradient_arena_.used(),
          "rewind: this mark is outdated, the tape was rewound to an earlier one after it was made");
  while (!live_passes_.empty() && live_passes_.back() >= mark.serial) live_passes_.pop_back();
  gradient_arena_.rewind(mark.gradients);
  taps_.truncate(mark.taps);
  watched_.resize(std::min(watched_.size(), mark.watched));
  nodes_.truncate(mark.nodes);
  flat_.truncate(mark.outputs);
  drop_owned(mark.arena);
  arena_.rewind(mark.arena);
  draws_ = mark.draws;
}

void Tape::shrink() {
  arena_.shrink();
  gradient_arena_.shrink();
  nodes_.shrink();
  flat_.shrink();
}

std::size_t Tape::bytes() const {
  return arena_.used() + gradient_arena_.used() + nodes_.bytes() + flat_.bytes();
}

std::size_t Tape::peak_bytes() const {
  return arena_.peak() + gradient_arena_.peak() + nodes_.peak_bytes() + flat_.peak_bytes();
}

void Tape::watch_gradient(const std::string& path, const Var& result) {
  if (!result.needs_grad() || !gradient_hooks_.wants(path)) return;
  const std::uint32_t at = result.stamp().node;
  watched_.push_back({at, result.output(), &path});
  nodes_[at].watched = true;
}

RandomKey Tape::next_draw() { return random_key(options_.seed, options_.step, options_.shard, draws_++); }

TensorView Tape::keep(const Tensor& data) {
  TensorView kept = data.view();
  const void* source = kept.bytes;
  kept.bytes = arena_.allocate(kept.byte_count());
  std::memcpy(kept.bytes, source, kept.byte_count());
  return kept;
}

Var Tape::number(Node& node) {
  const auto index = static_cast<std::uint32_t>(nodes_.size() - 1);
  node.serial = slot_->next_serial++;
  node.path = path_;
  node.first_output = static_cast<std::uint32_t>(flat_.size());
  if (flat_.size() + node.output_count >= UINT32_MAX) [[unlikely]]
    throw Error(fmt::format("tape: more than {} values", UINT32_MAX - 1));
  for (std::uint16_t k = 0; k < node.output_count; ++k)
    flat_.push_back(
        {node.outputs + k, index, node.needs_grad, node.op == nullptr, node.parameter != nullptr});
  return {{slot_, node.serial, index}, 0};
}

Var Tape::append_leaf(const TensorView& view, bool needs_grad) {
  check_no_hook("leaf");
  const Mark before = mark();
  try {
    auto* output = new (arena_.allocate(sizeof(TensorView))) TensorView(view);
    Node& node = nodes_.add();
    node.outputs = output;
    node.output_count = 1;
    node.needs_grad = needs_grad && options_.record;
    return number(node);
  } catch (...) {
    rewind(before);
    throw;
  }
}

Var Tape::leaf(const Tensor& x, bool needs_grad, const char* kind) {
  check_not_consumed(kind, {});
  expects(x.dtype() == dtype(),
          "{}: a {} tensor of shape {} on a tape that computes in {}; convert it with to(DType::{})", kind,
          dtype_name(x.dtype()), x.shape(), dtype_name(dtype()), dtype_name(dtype()));
  return append_leaf(keep(x), needs_grad);
}

Var Tape::full(Shape shape, double value) {
  check_not_consumed("full", {});
  TensorView view{nullptr, shape, dtype()};
  view.bytes = arena_.allocate(view.byte_count());
  dispatch(dtype(), [&](auto zero) {
    std::fill_n(view.data<decltype(zero)>(), view.size(), static_cast<decltype(zero)>(value));
  });
  return append_leaf(view, false);
}

/// The node of a parameter among a checkpoint's inputs: what its function read, whatever was frozen since.
Var Tape::input_of(const Node& checkpoint, const Parameter& p) const {
  for (std::uint16_t k = 0; k < checkpoint.input_count; ++k) {
    const std::uint32_t at = flat_[checkpoint.inputs[k]].node;
    const Node& input = nodes_[at];
    if (input.parameter != nullptr && *input.parameter == p && !input.outdated())
      return {{slot_, input.serial, at}, 0};
  }
  return {};
}

Var Tape::operator[](const Parameter& p) {
  check_not_consumed("parameter", {});
  expects(static_cast<bool>(p), "parameter: an empty Parameter; layers create them through a Scope");
  if (running_again_ != nullptr)
    if (const Var before = input_of(*running_again_, p)) return before;
  Lifted& lifted = lifted_[p.data()];
  if (lifted.stamp.slot != nullptr && alive(lifted.stamp)) {
    const Node& known = nodes_[lifted.stamp.node];
    if (!known.outdated() && known.needs_grad == (p.trainable() && options_.record)) return {lifted.stamp, 0};
  }
  TensorView view = p.value().view();
  if (view.dtype != dtype()) {
    const TensorView original = view;
    view.dtype = dtype();
    view.bytes = arena_.allocate(view.byte_count());
    convert(original, view);
  }
  const Var x = append_leaf(view, p.trainable());
  Node& node = nodes_[x.stamp().node];
  node.parameter = &lifted.parameter;
  node.parameter_version = static_cast<std::uint32_t>(p.version());
  flat_[node.first_output].of_parameter = true;
  lifted.stamp = x.stamp();
  if (!(lifted.parameter == p)) lifted.parameter = p;
  return x;
}

void Tape::check_not_consumed(std::string_view op, const Stamp& stamp) const {
  if (consumed_loss_ == 0 || stamp.serial == consumed_loss_) return;
  throw Error(
      fmt::format("{}: this tape was consumed by backward(loss, {{.consume = true}}); only the loss and the "
                  "gradients are "
                  "left. Call reset() and record again, or leave out .consume",
                  op));
}

void Tape::throw_operand(std::string_view op, std::size_t position, const Var& x) const {
  x.tape(op);  // throws when x is empty or stale
  throw Error(fmt::format(
      "{}: operand {} of shape {} was recorded on another tape; all operands of an op must be on one tape",
      op, position, x.shape()));
}

void Tape::throw_stale(std::string_view op, const Stamp& stamp) const {
  expects(
      !Recomputation::dropped(*this, stamp),
      "{}: this value was recorded inside of a checkpoint, which drops it after its forward; return it from "
      "the function, or tap it",
      op);
  throw Error(fmt::format(
      "{}: this value is stale, its tape was reset (or rewound) after it was recorded; record it again", op));
}

void Tape::throw_version(std::string_view op, const Node& leaf) const {
  const std::uint64_t now = leaf.parameter->version();
  const std::uint64_t recorded = now - (static_cast<std::uint32_t>(now) - leaf.parameter_version);
  throw Error(
      fmt::format("{}: parameter '{}' is at version {}, but version {} was recorded; update parameters after "
                  "backward, or record again",
                  op, leaf.parameter->path(), now, recorded));
}

void Tape::refuse(const Op& op, OpTraits traits, std::size_t inputs) const {
  check_no_hook(op.name());
  check_not_consumed(op.name(), {});
  expects(inputs <= UINT16_MAX, "{}: {} operands, at most {} are possible", op.name(), inputs, UINT16_MAX);
  throw Error(fmt::format("{}: {} results, at most {} are possible", op.name(), traits.outputs, UINT16_MAX));
}

/// Every small op pays for what happens here, so a node is filled in where it lies, what it keeps is one
/// piece of the arena, and what no op needs is not done: see bin/node_bench.
Var Tape::append(const Op& op, const OpType& type, OpTraits traits, std::span<const Operand> inputs) {
  const std::size_t count = inputs.size();
  const std::uint32_t outputs = traits.outputs;
  if (consumed_loss_ != 0 || hooked_ != nullptr || count > UINT16_MAX || outputs > UINT16_MAX) [[unlikely]]
    refuse(op, traits, count);
  const std::size_t arena_before = arena_.used(), index = nodes_.size(), first_output = flat_.size();
  try {
    // outputs | op | inputs
    const std::size_t op_at = (outputs * sizeof(TensorView) + 15) & ~std::size_t{15};
    const std::size_t inputs_at = op_at + (options_.record ? (type.bytes + 3) & ~std::size_t{3} : 0);
    auto* kept = static_cast<std::byte*>(arena_.allocate(inputs_at + count * sizeof(std::uint32_t)));
    auto* values = reinterpret_cast<TensorView*>(kept);
    auto* numbers = reinterpret_cast<std::uint32_t*>(kept + inputs_at);

    CallBuffer<const TensorView*> views(count + outputs);
    bool needs_grad = false;
    for (std::size_t i = 0; i < count; ++i) {
      const Var& x = *inputs[i];
      if (!holds(x.stamp())) [[unlikely]]
        throw_operand(op.name(), i, x);
      const Node& from = nodes_[x.stamp().node];
      if (from.outdated()) [[unlikely]]
        throw_version(op.name(), from);
      numbers[i] = from.first_output + x.output();
      views.put(i, from.outputs + x.output());
      needs_grad |= from.needs_grad;
    }
    const Views in(views.data(), count), out(views.data() + count, outputs);
    for (std::uint32_t k = 0; k < outputs; ++k) {
      TensorView& value =
          *new (values + k) TensorView{nullptr, op.shape(in, static_cast<int>(k)), options_.dtype};
      value.bytes = arena_.allocate(value.byte_count());
      views.put(count + k, &value);
    }
    op.forward(in, out);
    if (options_.check) [[unlikely]]
      check_finite(op, in, out, numbers, index);

    Node& node = nodes_.add();
    node.op = options_.record ? type.clone(op, kept + op_at) : nullptr;
    node.inputs = numbers;
    node.outputs = values;
    node.input_count = static_cast<std::uint16_t>(count);
    node.output_count = static_cast<std::uint16_t>(outputs);
    node.needs_grad = needs_grad && traits.differentiable;
    node.has_backward = traits.has_backward;
    node.overwrites = type.overwrites;
    node.passes_on = type.passes_on && outputs == 1;
    node.completes = type.completes;
    return number(node);
  } catch (...) {
    nodes_.truncate(index);
    flat_.truncate(first_output);
    arena_.rewind(arena_before);
    throw;
  }
}

VarList Tape::define(const Fused& op, std::span<const Operand> inputs, bool composite) {
  check_not_consumed(op.name(), {});
  CallBuffer<const TensorView*> views(inputs.size());
  VarList operands;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Var& x = *inputs[i];
    if (!holds(x.stamp())) throw_operand(op.name(), i, x);
    check_version(op.name(), nodes_[x.stamp().node]);
    views.put(i, &output(flat_number(x)));
    operands.push_back(x);
  }
  op.shape({views.data(), inputs.size()}, 0);  // the same errors as the kernel's
  return attempt([&] {
    if (!options_.check || composite) return op.define(operands);
    // In between, infinities may be meant: a softmax takes masked scores as -inf.
    const std::size_t position = nodes_.size();
    VarList results;
    {
      const Temporarily unchecked(options_.check, false);
      results = op.define(operands);
    }
    check_finite(op, operands, results, position);
    return results;
  });
}

Tape& Var::tape(std::string_view op) const {
  expects(stamp_.slot != nullptr, "{}: an empty Var; it was never recorded on a tape", op);
  expects(stamp_.slot->tape != nullptr, "{}: the tape on which this value was recorded is gone", op);
  if (!stamp_.alive()) stamp_.slot->tape->throw_stale(op, stamp_);
  return const_cast<Tape&>(*stamp_.slot->tape);
}

Tape& Var::tape() const { return tape("tape"); }

void Tape::check_readable(const Stamp& stamp) const {
  if (stamp.node == Stamp::pass) return;
  check_not_consumed("tensor", stamp);
  check_version("tensor", nodes_[stamp.node]);
}

Tensor Var::value() const {
  const Tape& owner = tape("value");
  owner.check_not_consumed("value", stamp_);
  owner.check_version("value", owner.node(stamp_.node));
  return Tensor::borrowed(owner.node(stamp_.node).outputs[output_], stamp_);
}

const Shape& Var::shape() const { return tape("shape").node(stamp_.node).outputs[output_].shape; }

DType Var::dtype() const { return tape("dtype").dtype(); }

bool Var::needs_grad() const { return tape("needs_grad").node(stamp_.node).needs_grad; }

}  // namespace tapegrad
