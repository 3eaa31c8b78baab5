// The checks of a tape and the texts of its errors.
#include <algorithm>
#include <cassert>
#include <exception>

#include "observe/check.h"
#include "tape.h"

namespace tapegrad {

bool Tape::alive_pass(std::uint64_t serial) const {
  return std::binary_search(live_passes_.begin(), live_passes_.end(), serial);
}

void Tape::check_open(std::string_view op) const {
  if (observers_.running_ != nullptr)
    throw Error(fmt::format(
        "{}: a gradient hook of '{}' runs, which must not change the tape; keep what it needs and "
        "do it afterwards",
        op, *observers_.running_));
  if (consumed_loss_ != 0)
    throw Error(fmt::format(
        "{}: this tape was consumed by backward(loss, {{.consume = true}}); only the loss and the "
        "gradients are left. Call reset() and record again, or leave out .consume",
        op));
}

void Tape::refuse(const Op& op, OpTraits traits, std::size_t inputs) const {
  check_open(op.name());
  expects(inputs <= UINT16_MAX, "{}: {} operands, at most {} are possible", op.name(), inputs, UINT16_MAX);
  throw Error(fmt::format("{}: {} results, at most {} are possible", op.name(), traits.outputs, UINT16_MAX));
}

void Tape::throw_operand(std::string_view op, std::span<const Operand> inputs) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].parameter() != nullptr) continue;
    const Var x = inputs[i].var() != nullptr ? *inputs[i].var() : Var();
    if (x && holds(x.id())) continue;
    x.tape(op);  // throws when x is empty or stale
    throw Error(fmt::format(
        "{}: operand {} of shape {} was recorded on another tape; all operands of an op must be on one tape",
        op, i, x.shape()));
  }
  assert(false);
  std::terminate();
}

void Tape::throw_stale(std::string_view op, const HandleId& handle) const {
  if (holds(handle)) check_open(op);
  const auto was_inside = [&](const Node& n) { return n.checkpoint && n.op->dropped(handle.serial); };
  bool dropped = false;
  for (std::size_t i = 0; i < nodes_.size(); ++i) dropped |= was_inside(nodes_[i]);
  expects(
      !dropped,
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

void Tape::check_finite(const Op& op, Views inputs, Views outputs, const std::uint32_t* numbers,
                        std::size_t position) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Index at = first_non_finite(inputs[i]);
    if (at < 0) continue;
    // The results of ops were checked when they were recorded, so this is a leaf.
    const Parameter* p = nodes_[flat_[numbers[i]].node].parameter;
    throw NonFiniteError(fmt::format("check: {} was given {} in input {}{}, on tape position {}; {}",
                                     op.name(), element_text(inputs[i], at), i,
                                     p ? fmt::format(", parameter '{}'", p->path()) : "", position,
                                     list_ranges("input", inputs)));
  }
  for (std::size_t k = 0; k < static_cast<std::size_t>(op.outputs()); ++k)
    if (const Index at = first_non_finite(outputs[k]); at >= 0)
      throw NonFiniteError(fmt::format("check: {} made {} in result {}, on tape position {}; {}", op.name(),
                                       element_text(outputs[k], at), k, position,
                                       list_ranges("input", inputs)));
}

void Tape::check_finite(const Op& op, const VarList& inputs, const VarList& outputs,
                        std::size_t position) const {
  ViewList in, out;
  std::vector<std::uint32_t> numbers;
  for (const Var& x : inputs) {
    numbers.push_back(flat_number(x));
    in.push_back(output(numbers.back()));
  }
  for (const Var& y : outputs) out.push_back(output(flat_number(y)));
  check_finite(op, in, out, numbers.data(), position);
}

}  // namespace tapegrad
