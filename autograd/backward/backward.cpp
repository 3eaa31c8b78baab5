// The reverse loop over buffers; backward_graph.cpp has that over recorded values.
#include <cstring>

#include "../base/temporarily.h"
#include "../kernels/elementwise.h"
#include "backward_pass.h"
#include "checkpoint.h"

namespace tapegrad {

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
    begin();
    for (std::uint32_t i = loss_.stamp().node + 1; i-- > 0;) step(i);
  }
  return finish(make_stamp());
}

void BackwardPass::begin() {
  const Node& last = node(loss_.stamp().node);
  count_ = last.first_output + last.output_count;
  const std::uint32_t room = tape_.checkpoint_room_;
  const auto places = room > 0 ? static_cast<std::uint32_t>(tape_.flat_.size()) + room : count_;
  cotangents_.emplace(tape_.gradient_arena_, leaf_arena_, places, options_.consume || room > 0);
  seed_buffer();
}

Stamp BackwardPass::make_stamp() {
  const Stamp stamp{tape_.slot_, tape_.slot_->next_serial++, Stamp::pass};
  tape_.live_passes_.push_back(stamp.serial);
  return stamp;
}

Gradients BackwardPass::finish(const Stamp& stamp) {
  Gradients result;
  if (options_.create_graph) {
    result.vars_ = vars_;
  } else {
    cotangents_->complete_all();
    result.by_output_ = cotangents_->buffers();
    result.leaves_only_ = options_.consume;
  }
  result.output_count_ = count_;
  result.entries_ = parameters();
  result.stamp_ = stamp;
  if (options_.consume) tape_.consumed_loss_ = loss_.stamp().serial;
  return result;
}

void BackwardPass::check() const {
  tape_.check_no_hook("backward");
  tape_.check_not_consumed("backward", {});
  const Tape& recorded_on = loss_.tape("backward");  // throws when the handle is empty or stale
  expects(&recorded_on == &tape_, "backward: the loss of shape {} was recorded on another tape",
          loss_.shape());
  expects(tape_.options().record, "backward: this tape does not record (.record = false)");
  expects(!(options_.consume && options_.create_graph),
          "backward: .consume and .create_graph exclude each other");
  expects(options_.leaf_gradients == nullptr || !options_.create_graph,
          "backward: .leaf_gradients and .create_graph exclude each other");
  if (options_.cotangent)
    expects(options_.cotangent.shape() == loss_.shape() && options_.cotangent.dtype() == tape_.dtype(),
            "backward: the cotangent is {} {}, the loss {} {}", dtype_name(options_.cotangent.dtype()),
            options_.cotangent.shape(), dtype_name(tape_.dtype()), loss_.shape());
  else
    expects(
        loss_.size() == 1,
        "backward: the loss must have one element, got shape {}; reduce it with sum() or give a cotangent",
        loss_.shape());
  expects(loss_.needs_grad(), "backward: the loss depends on no variable and no trainable parameter");
  if (tape_.options_.check) check_cotangent();
}

/// A gradient computed from values that have changed since would be silently wrong.
void BackwardPass::check_versions(const Node& n) const {
  for (std::uint16_t i = 0; i < n.input_count; ++i)
    if (tape_.flat_[n.inputs[i]].of_parameter) check_version(n, node(owner(n.inputs[i])));
}

void BackwardPass::check_version(const Node& n, const Node& from) const {
  if (!from.outdated()) return;
  try {
    tape_.throw_version(n.op->name(), from);
  } catch (Error& error) {
    error.add_path(*n.path);
    throw;
  }
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

bool BackwardPass::reached(std::uint32_t i) const {
  const Node& n = node(i);
  if (n.op == nullptr || !n.needs_grad) return false;
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if ((*cotangents_)[n.first_output + k] != nullptr) return true;
  return false;
}

void BackwardPass::step(std::uint32_t i) {
  const Node& n = node(i);
  if (n.op == nullptr || !n.needs_grad) {
    if (n.parameter != nullptr) parameter_nodes_.push_back(i);
    if (n.watched) [[unlikely]]
      run_hooks(i);
    return;
  }
  bool is_reached = false;
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    if ((*cotangents_)[n.first_output + k] == nullptr) continue;
    cotangents_->complete(n.first_output + k);
    is_reached = true;
  }
  if (!is_reached) return;
  check_versions(n);
  if (n.completes) [[unlikely]]
    complete(n);
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
  if (!options_.consume) return;
  for (std::uint16_t k = 0; k < n.output_count; ++k) cotangents_->release(n.first_output + k, n.outputs[k]);
}

/// Gives results that lie inside of the op memory for their cotangents.
void BackwardPass::complete(const Node& n) {
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if (n.op->completes(k)) cotangents_->sum(n.first_output + k, n.outputs[k], false);
}

void BackwardPass::add_to(void* sum, const TensorView& part) {
  dispatch(part.dtype, [&](auto zero) {
    using T = decltype(zero);
    kernels::add_into(static_cast<T*>(sum), part.data<T>(), part.size());
  });
}

void Tape::throw_hooked(std::string_view op) const {
  throw Error(
      fmt::format("{}: a gradient hook of '{}' runs, which must not change the tape; keep what it needs and "
                  "do it afterwards",
                  op, *hooked_));
}

void BackwardPass::run_hooks(std::uint32_t i) {
  for (std::size_t at = 0; at < tape_.watched_.size(); ++at) {
    const Tape::Watched w = tape_.watched_[at];
    if (w.node != i) continue;
    const std::uint32_t flat = node(i).first_output + w.output;
    if (cotangents_) cotangents_->complete(flat);
    const TensorView found = gradient(flat);
    if (!found) continue;
    const Temporarily<const std::string*> hooked(tape_.hooked_, w.path);
    tape_.gradient_hooks_.run(*w.path, tape_.handle(i, w.output), Tensor::borrowed(found, loss_.stamp()));
  }
}

namespace {

/// Whether input i is no other input too: only then it may be written before the others are added.
bool alone(const Node& n, std::uint16_t i) {
  for (std::uint16_t k = 0; k < n.input_count; ++k)
    if (k != i && n.inputs[k] == n.inputs[i]) return false;
  return true;
}

}  // namespace

void BackwardPass::raw_backward(const Node& n) {
  const std::size_t count = n.input_count, outputs = n.output_count;
  CallBuffer<const TensorView*> views(count + outputs);
  CallBuffer<CotangentView> cotangents(count + outputs);
  for (std::size_t i = 0; i < count; ++i) views.put(i, tape_.flat_[n.inputs[i]].view);
  for (std::size_t k = 0; k < outputs; ++k) {
    views.put(count + k, n.outputs + k);
    cotangents.put(count + k, {(*cotangents_)[n.first_output + static_cast<std::uint32_t>(k)],
                               n.outputs[k].shape, n.outputs[k].dtype});
  }
  const Views in(views.data(), count), out(views.data() + count, outputs);
  FreshInputs fresh;
  bool work = false, hand_over = options_.consume && n.passes_on;
  for (std::uint16_t i = 0; i < n.input_count; ++i) {
    const std::uint32_t flat = n.inputs[i];
    const Tape::FlatOutput& from = tape_.flat_[flat];
    void* sum = nullptr;
    if (from.needs_grad) {
      const bool first = i < FreshInputs::most && !cotangents_->full(flat) && alone(n, i);
      const bool apart = from.leaf && options_.leaf_gradients != nullptr;
      if (hand_over && first && !apart && (*cotangents_)[flat] == nullptr && n.op->passes_on(i, in, out)) {
        cotangents_->hand_over(n.first_output, flat);  // which doutputs[0] shows all the same
        hand_over = false;
      } else {
        bool is_fresh = false;
        sum = cotangents_->write(flat, *from.view, from.leaf,
                                 first && n.overwrites ? n.op->overwrites(i, in, out) : nothing, is_fresh);
        if (is_fresh) fresh.add(i);
        work = true;
      }
    }
    cotangents.put(i, {sum, from.view->shape, from.view->dtype});
  }
  if (work)
    n.op->backward({in, out, {cotangents.data(), count}, {cotangents.data() + count, outputs}, fresh});
}

void BackwardPass::transient_pullback(const Node& n) {
  run_pullback(n, [&](std::uint16_t i, const TensorView& part) {
    const std::uint32_t flat = n.inputs[i];
    bool fresh = false;
    void* sum = cotangents_->write(flat, part, is_leaf(flat), everything, fresh);
    if (fresh)
      std::memcpy(sum, part.bytes, part.byte_count());
    else
      add_to(sum, part);
  });
}

void BackwardPass::run_again(const Node& n, ScratchVector<std::uint32_t>& results) {
  try {
    Recomputation::run_again(tape_, n, results);
  } catch (Error& error) {
    error.add_path(*n.path);
    throw;
  }
}

/// A checkpoint's function, recorded at the end of the tape, walked back in the place of its node, and
/// dropped again. Its results' cotangents go there and, with what was added inside, come back.
void BackwardPass::recompute(const Node& n) {
  Tape::Mark mark = tape_.mark();
  try {
    ScratchVector<std::uint32_t> results;
    run_again(n, results);
    for (std::uint16_t k = 0; k < n.output_count; ++k) cotangents_->hand_over(n.first_output + k, results[k]);
    for (auto i = static_cast<std::uint32_t>(tape_.nodes_.size()); i-- > mark.nodes;) step(i);
    if (!options_.consume) {
      for (std::uint16_t k = 0; k < n.output_count; ++k)
        cotangents_->hand_over(results[k], n.first_output + k);
      for (auto flat = static_cast<std::uint32_t>(mark.outputs); flat < tape_.flat_.size(); ++flat)
        cotangents_->release(flat, tape_.output(flat));
    }
  } catch (...) {
    tape_.rewind(mark);
    throw;
  }
  mark.gradients = tape_.gradient_arena_.used();  // the sums stay
  tape_.rewind(mark);
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

/// Every parameter that was reached, as `parameter_nodes_` names them from the last to the first.
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

Gradients Tape::backward(const Var& loss, const BackwardOptions& options) {
  return BackwardPass(*this, loss, options).run();
}

Gradients Var::backward() const { return tape("backward").backward(*this); }

}  // namespace tapegrad
