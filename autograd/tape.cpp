#include "tape.h"

#include <algorithm>
#include <cstring>

#include "base/temporarily.h"

namespace tapegrad {

Tape::Tape(const TapeOptions& options)
    : options_(options),
      expand_(!options.fused       ? Expand::all
              : options.show_parts ? Expand::composites
                                   : Expand::none),
      path_(interned_path("")) {
  expects(can_compute(options.dtype), "Tape: computes in f32 or f64, got {}", dtype_name(options.dtype));
  slot_ = acquire_slot(this);  // last: nothing throws any more
  epoch_ = slot_->next_serial++;
}

Tape::~Tape() {
  objects_.drop(0);
  release_slot(slot_);
}

void Tape::reset(std::uint64_t step, std::uint64_t shard) {
  if (observers_.running_ != nullptr) check_open("reset");
  nodes_.truncate(0);
  flat_.truncate(0);
  objects_.drop(0);
  arena_.rewind(0);
  gradient_arena_.rewind(0);
  draws_ = 0;
  epoch_ = slot_->next_serial++;
  observers_.truncate(0, 0);
  live_passes_.clear();
  consumed_loss_ = 0;
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
          .taps = observers_.taps_.size(),
          .watched = observers_.watched_.size()};
}

void Tape::rewind(const Mark& mark) {
  if (observers_.running_ != nullptr) check_open("rewind");
  expects(mark.slot == slot_, "rewind: this mark was made on another tape");
  expects(mark.epoch == epoch_, "rewind: this mark is outdated, the tape was reset after it was made");
  // Nodes form a stack: when the last node before the mark still exists, so do all before it.
  expects(mark.nodes <= nodes_.size() && (mark.nodes == 0 || nodes_[mark.nodes - 1].serial == mark.last) &&
              mark.arena <= arena_.used() && mark.gradients <= gradient_arena_.used(),
          "rewind: this mark is outdated, the tape was rewound to an earlier one after it was made");
  while (!live_passes_.empty() && live_passes_.back() >= mark.serial) live_passes_.pop_back();
  gradient_arena_.rewind(mark.gradients);
  observers_.truncate(mark.taps, mark.watched);
  nodes_.truncate(mark.nodes);
  flat_.truncate(mark.outputs);
  objects_.drop(mark.arena);
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

TensorView Tape::copy_to_arena(const Tensor& data) {
  TensorView kept = data.view();
  const void* source = kept.bytes;
  kept.bytes = arena_.allocate(kept.byte_count());
  std::memcpy(kept.bytes, source, kept.byte_count());
  return kept;
}

/// Assigns the last node its serial and path, and its outputs their flat numbers.
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
  if (observers_.running_ != nullptr) check_open("leaf");
  return with_rollback([&] {
    auto* output = new (arena_.allocate(sizeof(TensorView))) TensorView(view);
    Node& node = nodes_.add();
    node.outputs = output;
    node.output_count = 1;
    node.needs_grad = needs_grad && options_.record;
    return number(node);
  });
}

Var Tape::leaf(const Tensor& x, bool needs_grad, const char* kind) {
  check_open(kind);
  expects(x.dtype() == dtype(),
          "{}: a {} tensor of shape {} on a tape that computes in {}; convert it with to(DType::{})", kind,
          dtype_name(x.dtype()), x.shape(), dtype_name(dtype()), dtype_name(dtype()));
  return append_leaf(copy_to_arena(x), needs_grad);
}

Var Tape::full(Shape shape, double value) {
  check_open("full");
  TensorView view{nullptr, shape, dtype()};
  view.bytes = arena_.allocate(view.byte_count());
  dispatch(dtype(), [&](auto zero) {
    std::fill_n(view.data<decltype(zero)>(), view.size(), static_cast<decltype(zero)>(value));
  });
  return append_leaf(view, false);
}

Var Tape::operator[](const Parameter& p) {
  check_open("parameter");
  expects(static_cast<bool>(p), "parameter: an empty Parameter; layers create them through a Scope");
  ParameterLeaf& leaf = parameter_leaves_[p.data()];
  if (leaf.handle.slot != nullptr && holds(leaf.handle)) {
    const Node& known = nodes_[leaf.handle.node];
    if (!known.outdated() && (leaf.pinned || known.needs_grad == (p.trainable() && options_.record)))
      return {leaf.handle, 0};
  }
  TensorView view = p.value().view();
  if (view.dtype != dtype()) {
    const TensorView original = view;
    view.dtype = dtype();
    view.bytes = arena_.allocate(view.byte_count());
    convert(original, view);
  }
  const Var x = append_leaf(view, p.trainable());
  Node& node = nodes_[x.id().node];
  node.parameter = &leaf.parameter;
  node.parameter_version = static_cast<std::uint32_t>(p.version());
  flat_[node.first_output].of_parameter = true;
  leaf.handle = x.id();
  if (!(leaf.parameter == p)) leaf.parameter = p;
  return x;
}

/// Returns the Var of an operand; a parameter becomes a leaf, whose Var is stored in `parameter_leaf`.
const Var& Tape::on_tape(const Operand& operand, Var& parameter_leaf) {
  if (operand.parameter() != nullptr) return parameter_leaf = (*this)[*operand.parameter()];
  return operand.var() != nullptr ? *operand.var() : parameter_leaf;
}

Var Tape::operator[](const Operand& operand) {
  Var parameter_leaf;
  return on_tape(operand, parameter_leaf);
}

bool Tape::expands(const Fused& op, bool composite) const {
  if (expand_ == Expand::all) return true;
  if (!composite) return false;
  if (expand_ == Expand::composites) return true;
  if (!observers_.has_value_hooks() && !observers_.has_gradient_hooks()) return false;
  const auto parts = op.parts();
  return std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
    return part.result == Part::inside && observers_.wants_layer(*part.path);
  });
}

void Tape::observe(const std::string& path, const Var& result) {
  observers_.run_value_hooks(path, result);
  if (!observers_.has_gradient_hooks() || !result.needs_grad() || !observers_.wants_gradient(path)) return;
  const std::uint32_t at = result.id().node;
  observers_.watched_.push_back({at, result.output(), &path});
  nodes_[at].watched = true;
}

void Tape::observe_parts(std::span<const Part> parts, const Var& first) {
  for (const Part& part : parts)
    if (part.result != Part::inside)
      observe(*part.path, {first.id(), static_cast<std::uint32_t>(part.result)});
}

/// Every small op pays for this function, so it fills the node in place, keeps all that the node needs in one
/// piece of the arena, and does no work that no op needs: see bin/node_bench. Parameters among the operands
/// become leaves from the last to the first.
Var Tape::append(const Op& op, const OpType& type, OpTraits traits, std::span<const Operand> inputs) {
  const std::size_t count = inputs.size();
  const std::uint32_t outputs = traits.outputs;
  if (consumed_loss_ != 0 || observers_.running_ != nullptr || count > UINT16_MAX || outputs > UINT16_MAX)
      [[unlikely]]
    refuse(op, traits, count);
  const std::size_t arena_before = arena_.used(), nodes_before = nodes_.size(), first_output = flat_.size();
  try {
    // outputs | op | inputs
    const std::size_t op_at = (outputs * sizeof(TensorView) + 15) & ~std::size_t{15};
    const std::size_t inputs_at = op_at + (options_.record ? (type.bytes + 3) & ~std::size_t{3} : 0);
    auto* kept = static_cast<std::byte*>(arena_.allocate(inputs_at + count * sizeof(std::uint32_t)));
    auto* values = reinterpret_cast<TensorView*>(kept);
    auto* numbers = reinterpret_cast<std::uint32_t*>(kept + inputs_at);

    CallBuffer<const TensorView*> views(count + outputs);
    bool needs_grad = false;
    for (std::size_t i = count; i-- > 0;) {
      Var parameter_leaf;
      const Var& x = on_tape(inputs[i], parameter_leaf);
      if (!holds(x.id())) [[unlikely]]
        throw_operand(op.name(), inputs);
      const Node& from = nodes_[x.id().node];
      if (from.outdated()) [[unlikely]]
        check_version(op.name(), from);
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
      check_finite(op, in, out, numbers, nodes_.size());

    Node& node = nodes_.add();
    node.op = options_.record ? type.clone(op, kept + op_at) : nullptr;
    node.inputs = numbers;
    node.outputs = values;
    node.input_count = static_cast<std::uint16_t>(count);
    node.output_count = static_cast<std::uint16_t>(outputs);
    node.needs_grad = needs_grad && traits.differentiable;
    node.has_backward = traits.has_backward;
    node.writable_range = type.writable_range;
    node.is_identity_pullback = type.is_identity_pullback && outputs == 1;
    node.accumulates_into_output_grad = type.accumulates_into_output_grad;
    return number(node);
  } catch (...) {
    nodes_.truncate(nodes_before);
    flat_.truncate(first_output);
    arena_.rewind(arena_before);
    throw;
  }
}

VarList Tape::define(const Fused& op, std::span<const Operand> inputs, bool composite) {
  check_open(op.name());
  return with_rollback([&] {
    CallBuffer<const TensorView*> views(inputs.size());
    VarList operands(inputs.size());
    for (std::size_t i = inputs.size(); i-- > 0;) {
      operands[i] = (*this)[inputs[i]];
      if (!holds(operands[i].id())) throw_operand(op.name(), inputs);
      check_version(op.name(), nodes_[operands[i].id().node]);
      views.put(i, &output(flat_number(operands[i])));
    }
    op.shape({views.data(), inputs.size()}, 0);  // throws the errors of the kernel
    if (!options_.check || composite) return op.define(operands);
    // Infinities may be intended inside: a softmax takes masked scores as -inf.
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

}  // namespace tapegrad
