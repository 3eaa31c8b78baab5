// Handles: the lookup of a tape and of a value by a handle.
#include "tape.h"

namespace tapegrad {

bool HandleId::alive() const {
  if (slot->tape != nullptr) return slot->tape->alive(*this);
  return node == pass && slot->live_pass == serial;
}

void HandleId::check_readable(std::string_view op) const {
  if (slot->tape != nullptr) slot->tape->check_readable(op, *this);
}

void HandleId::check_not_consumed(std::string_view op) const {
  if (slot->tape != nullptr && slot->tape->holds(*this)) slot->tape->check_open(op);
}

inline bool Var::usable() const {
  return id_.slot != nullptr && id_.slot->tape != nullptr && id_.slot->tape->alive(id_);
}

void Var::throw_unusable(std::string_view op) const {
  expects(id_.slot != nullptr, "{}: an empty Var; it was never recorded on a tape", op);
  expects(id_.slot->tape != nullptr, "{}: the tape on which this value was recorded is gone", op);
  id_.slot->tape->throw_stale(op, id_);
}

Tape& Var::tape(std::string_view op) const {
  if (!usable()) [[unlikely]]
    throw_unusable(op);
  return const_cast<Tape&>(*id_.slot->tape);
}

Tape& Var::tape() const { return tape("tape"); }

Tensor Var::value() const {
  const Tape& owner = tape("value");
  owner.check_readable("value", id_);
  return Tensor::borrowed(owner.node(id_.node).outputs[output_], id_);
}

const Shape& Var::shape() const {
  if (!usable()) [[unlikely]]
    throw_unusable("shape");
  return id_.slot->tape->nodes_[id_.node].outputs[output_].shape;
}

DType Var::dtype() const { return tape("dtype").dtype(); }

bool Var::needs_grad() const { return tape("needs_grad").node(id_.node).needs_grad; }

}  // namespace tapegrad
