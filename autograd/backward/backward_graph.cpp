// Backward passes that can be differentiated again: cotangents are recorded values, and a fused node is first
// expanded to its definition.
#include "../base/temporarily.h"
#include "../observe/check.h"
#include "../ops/arithmetic.h"
#include "backward_pass.h"

namespace tapegrad {

void BackwardPass::walk_graph() {
  const Node& last = node(loss_.id().node);
  count_ = last.first_output + last.output_count;
  vars_ = std::make_shared<std::vector<Var>>(count_);
  (*vars_)[tape_.flat_number(loss_)] =
      options_.cotangent ? tape_.constant(options_.cotangent) : tape_.full(loss_.shape(), 1);
  walk(0, loss_.id().node + 1);
  vars_->resize(count_);
  for (std::uint32_t i = loss_.id().node + 1; i-- > 0;)
    if (node(i).parameter != nullptr) parameter_nodes_.push_back(i);
}

void BackwardPass::accumulate(std::uint32_t flat, const Var& part) {
  if (flat >= vars_->size()) vars_->resize(tape_.flat_.size());
  Var& sum = (*vars_)[flat];
  const Var total = sum ? add(sum, part) : part;
  (*vars_)[flat] = total;
}

void BackwardPass::walk(std::uint32_t begin, std::uint32_t end) {
  for (std::uint32_t i = end; i-- > begin;) {
    const Node& n = node(i);
    if (n.op == nullptr || !n.needs_grad) {
      if (n.watched) run_hooks(i);
      continue;
    }
    VarList cotangents;
    bool reached = false;
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      const std::uint32_t flat = n.first_output + k;
      cotangents.push_back(flat < vars_->size() ? (*vars_)[flat] : Var());
      reached |= static_cast<bool>(cotangents[k]);
    }
    if (!reached) continue;
    check_versions(n);
    if (n.watched) run_hooks(i);
    if (n.checkpoint) {
      recompute(n, cotangents);
    } else if (n.op->is_primitive()) {
      pull_back(i, cotangents);
    } else {
      expand(n, cotangents);
    }
  }
}

void BackwardPass::pull_back(std::uint32_t i, const VarList& cotangents) {
  const Node& n = node(i);
  try {
    const VarList results = pullback(n, cotangents);
    for (std::uint16_t k = 0; k < n.input_count; ++k)
      if (results[k] && needs(n.inputs[k])) accumulate(n.inputs[k], results[k]);
  } catch (const NonFiniteError& error) {
    NonFiniteError named(
        fmt::format("check: in the backward of {}, on tape position {}: {}", n.op->name(), i, error.what()));
    named.add_path(*n.path);
    throw named;
  }
}

/// Records a checkpoint's function again, for a pass that can be differentiated again; the recording stays.
void BackwardPass::recompute(const Node& n, const VarList& cotangents) {
  const auto begin = static_cast<std::uint32_t>(tape_.nodes_.size());
  ScratchVector<std::uint32_t> results;
  run_again(n, results);
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if (cotangents[k]) accumulate(results[k], cotangents[k]);
  walk(begin, static_cast<std::uint32_t>(tape_.nodes_.size()));
  for (std::uint16_t k = 0; k < n.output_count; ++k)
    if (results[k] < vars_->size()) (*vars_)[n.first_output + k] = Var((*vars_)[results[k]]);
}

void BackwardPass::expand(const Node& n, const VarList& cotangents) {
  VarList inputs;
  for (std::uint16_t i = 0; i < n.input_count; ++i) inputs.push_back(var(n.inputs[i]));
  const auto begin = static_cast<std::uint32_t>(tape_.nodes_.size());
  const Temporarily expand(tape_.expand_, Tape::Expand::all);
  VarList outputs;
  {
    const Temporarily unchecked(tape_.options_.check, false);  // the kernel's results were checked
    outputs = static_cast<const Fused*>(n.op)->define(inputs);
  }
  for (std::size_t k = 0; k < outputs.size(); ++k)
    if (cotangents[k]) accumulate(tape_.flat_number(outputs[k]), cotangents[k]);
  walk(begin, static_cast<std::uint32_t>(tape_.nodes_.size()));
  for (std::size_t k = 0; n.accumulates_into_output_grad && k < outputs.size(); ++k) {
    const std::uint32_t flat = tape_.flat_number(outputs[k]);
    if (n.op->accumulates_into_output_grad(static_cast<int>(k)) && flat < vars_->size())
      (*vars_)[n.first_output + k] = Var((*vars_)[flat]);
  }
}

}  // namespace tapegrad
