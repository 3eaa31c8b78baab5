// The reverse loop over buffers. Nodes stand in the order they ran, so every node that reads a value stands
// behind it: when the loop reaches a node, the cotangents of its results are complete. backward_graph.cpp has
// the loop over recorded values, for derivatives of derivatives; the files beside it have checks, checkpoints
// and the reuse of memory.
#include <cstring>

#include "../kernels/elementwise.h"
#include "backward_pass.h"
#include "checkpoint.h"

namespace tapegrad {

Gradients Tape::backward(const Var& loss, const BackwardOptions& options) {
  return BackwardPass(*this, loss, options).run();
}

Gradients BackwardPass::run() {
  check();
  const Tape::Mark before = tape_.mark();
  try {
    return walk_back();
  } catch (...) {
    tape_.rewind(before);
    throw;
  }
}

Gradients BackwardPass::walk_back() {
  if (options_.create_graph) {
    walk_graph();
  } else {
    begin();  // dloss/dloss = 1
    for (std::uint32_t i = loss_.id().node + 1; i-- > 0;) step(i);
  }
  return finish(make_id());
}

/// Turns the cotangents of node i's results into contributions to the gradients of its inputs.
void BackwardPass::step(std::uint32_t i) {
  const Node& n = node(i);
  if (n.op == nullptr || !n.needs_grad) return meet_leaf(i);
  if (!arrived(n)) return;  // the loss does not depend on it
  check_versions(n);
  if (n.accumulates_into_output_grad) [[unlikely]]
    allocate_internal(n);
  if (n.watched) [[unlikely]]
    run_hooks(i);

  if (n.checkpoint) [[unlikely]]
    recompute(n);
  else if (n.has_backward)
    raw_backward(n);
  else
    transient_pullback(n);

  if (tape_.options_.check) [[unlikely]]
    check_finite(n);
  if (options_.consume) release(n);
}

/// Runs the pullback written in ops and adds its results to the gradients of the inputs.
void BackwardPass::transient_pullback(const Node& n) {
  run_pullback(n, [&](std::uint16_t i, const TensorView& part) {
    const std::uint32_t flat = n.inputs[i];
    bool uninitialized = false;
    void* sum = cotangents_->write(flat, part, is_leaf(flat), everything, uninitialized);
    if (uninitialized)
      std::memcpy(sum, part.bytes, part.byte_count());
    else
      add_to(sum, part);
  });
}

void BackwardPass::add_to(void* sum, const TensorView& part) {
  dispatch(part.dtype, [&](auto zero) {
    using T = decltype(zero);
    kernels::add_into(static_cast<T*>(sum), part.data<T>(), part.size());
  });
}

/// Returns true when a cotangent of a result of `n` has arrived; fills what was not written with zeros.
bool BackwardPass::arrived(const Node& n) {
  bool any = false;
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    if ((*cotangents_)[n.first_output + k] == nullptr) continue;
    cotangents_->zero_fill_unwritten(n.first_output + k);
    any = true;
  }
  return any;
}

void BackwardPass::meet_leaf(std::uint32_t i) {
  if (node(i).parameter != nullptr) parameter_nodes_.push_back(i);
  if (node(i).watched) [[unlikely]]
    run_hooks(i);
}

/// Releases the cotangents of `n`, which nothing reads any more.
void BackwardPass::release(const Node& n) {
  for (std::uint16_t k = 0; k < n.output_count; ++k) cotangents_->release(n.first_output + k, n.outputs[k]);
}

void BackwardPass::begin() {
  const Node& last = node(loss_.id().node);
  count_ = last.first_output + last.output_count;
  room_ = Checkpoints::room(tape_, loss_.id().node);
  const auto places = room_ > 0 ? static_cast<std::uint32_t>(tape_.flat_.size()) + room_ : count_;
  cotangents_.emplace(tape_.gradient_arena_, leaf_arena_, places, options_.consume || room_ > 0);
  seed_buffer();
}

void BackwardPass::seed_buffer() {
  const std::uint32_t flat = tape_.flat_number(loss_);
  TensorView seed = tape_.output(flat);
  seed.bytes = cotangents_->sum(flat, seed, is_leaf(flat));
  if (options_.cotangent)
    std::memcpy(seed.bytes, options_.cotangent.view().bytes, seed.byte_count());
  else
    dispatch(seed.dtype, [&](auto zero) { seed.data<decltype(zero)>()[0] = 1; });
}

VarList BackwardPass::pullback(const Node& n, const VarList& cotangents) const {
  VarList inputs, outputs;
  bool few[VarList::inline_capacity] = {};
  ScratchVector<char> more(n.input_count > VarList::inline_capacity ? n.input_count : 0);
  bool* wanted = more.empty() ? few : reinterpret_cast<bool*>(more.data());
  for (std::uint16_t i = 0; i < n.input_count; ++i) {
    inputs.push_back(var(n.inputs[i]));
    wanted[i] = needs(n.inputs[i]);
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) outputs.push_back(var(n.first_output + k));
  const VarList results = n.op->pullback({inputs, outputs, cotangents, {wanted, n.input_count}});
  expects(results.size() == n.input_count, "{}: its pullback returned {} gradients for {} inputs",
          n.op->name(), results.size(), n.input_count);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i]) continue;  // nothing for this input
    expects(results[i].shape() == inputs[i].shape(),
            "{}: its pullback gave input {} of shape {} a gradient of shape {}", n.op->name(), i,
            inputs[i].shape(), results[i].shape());
  }
  return results;
}

/// The gradient of every reached parameter; `parameter_nodes_` has them from the last to the first.
std::span<const Gradients::Entry> BackwardPass::parameters() const {
  auto* entries = tape_.gradient_arena_.array<Gradients::Entry>(parameter_nodes_.size());
  std::size_t count = 0;
  for (std::size_t at = parameter_nodes_.size(); at-- > 0;) {
    const Node& n = node(parameter_nodes_[at]);
    TensorView found = gradient(n.first_output);
    if (!found) continue;
    if (n.parameter->dtype() != found.dtype) {
      TensorView own{nullptr, found.shape, n.parameter->dtype()};
      own.bytes = leaf_arena_.allocate(own.byte_count());
      convert(found, own);
      found = own;
    }
    new (entries + count++) Gradients::Entry{n.parameter, found};
  }
  return {entries, count};
}

TensorView BackwardPass::gradient(std::uint32_t flat) const {
  if (!options_.create_graph) return cotangent(flat);
  const Var v = flat < vars_->size() ? (*vars_)[flat] : Var();
  return v ? tape_.output(tape_.flat_number(v)) : TensorView{};
}

Gradients BackwardPass::finish(const HandleId& handle) {
  Gradients result;
  if (options_.create_graph) {
    result.vars_ = vars_;
  } else {
    cotangents_->zero_fill_all();
    result.by_output_ = cotangents_->buffers();
    result.leaves_only_ = options_.consume;
  }
  result.output_count_ = count_;
  result.entries_ = parameters();
  result.id_ = handle;
  if (options_.consume) tape_.consumed_loss_ = loss_.id().serial;
  return result;
}

HandleId BackwardPass::make_id() {
  const HandleId handle{tape_.slot_, tape_.slot_->next_serial++, HandleId::pass};
  tape_.live_passes_.push_back(handle.serial);
  return handle;
}

bool BackwardPass::reached(std::uint32_t i) const {
  const Node& n = node(i);
  if (n.op == nullptr || !n.needs_grad) return false;
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if ((*cotangents_)[n.first_output + k] != nullptr) return true;
  return false;
}

Gradients Var::backward() const { return tape("backward").backward(*this); }

}  // namespace tapegrad
