/// Records an op on the tape of its operands: `apply(op, {x, weight})`. Included by tape.h.
#pragma once
#include "tape.h"

namespace tapegrad {

/// Sets the module path of the nodes recorded during its life; `path` must live as long as the tape
/// (`interned_path`).
class RecordScope {
 public:
  RecordScope(Tape& tape, const std::string* path) : tape_(tape), before_(tape.path()) {
    tape.set_path(path);
  }
  ~RecordScope() { tape_.set_path(before_); }
  RecordScope(const RecordScope&) = delete;
  RecordScope& operator=(const RecordScope&) = delete;

 private:
  Tape& tape_;
  const std::string* before_;
};

/// Runs `body` as the module `path`: its nodes carry the path, and an Error that it throws gets the path in
/// front. A null `path` changes nothing.
template <class Body>
auto record_layer(Tape& tape, const std::string* path, Body&& body) {
  if (path == nullptr) return body();
  const RecordScope scope(tape, path);
  try {
    return body();
  } catch (Error& error) {
    error.add_path(*path);
    throw;
  }
}

/// Runs `body`, which returns a Var, as the layer `path`, and passes its result to the observers of the
/// layer.
template <class Body>
Var record_part(Tape& tape, const std::string* path, Body&& body) {
  return record_layer(tape, path, [&] {
    const Var result = body();
    if (path != nullptr) tape.observe(*path, result);
    return result;
  });
}

namespace detail {

template <class O>
constexpr bool is_composite() {
  if constexpr (requires { O::composite; }) return O::composite;
  return false;
}

/// Returns the tape of the first operand that is a Var. The tape itself checks that the Var is not stale.
template <class O>
Tape& tape_of_operands(const O& op, std::span<const Operand> inputs) {
  for (const Operand& x : inputs) {
    if (x.var() == nullptr) continue;
    const HandleSlot* slot = x.var()->id().slot;
    if (slot == nullptr || slot->tape == nullptr) [[unlikely]]
      return x.var()->tape(std::string_view(op.name()));
    return const_cast<Tape&>(*slot->tape);
  }
  throw Error(fmt::format(
      "{}: no operand is a Var, so the tape is unknown; pass tape[parameter] in place of a Parameter",
      op.name()));
}

}  // namespace detail

template <class O>
Var Tape::append(const O& op, std::span<const Operand> inputs) {
  if constexpr (std::is_base_of_v<Fused, O>)
    if (!op.parts().empty())
      return record_layer(*this, op.parts()[0].path,
                          [&] { return append(op, OpType::of<O>(), OpTraits::of(op), inputs); });
  return append(op, OpType::of<O>(), OpTraits::of(op), inputs);
}

template <class O>
VarList Tape::record(const O& op, std::span<const Operand> inputs) {
  if constexpr (std::is_base_of_v<Fused, O>)
    if (expands(op, detail::is_composite<O>())) return define(op, inputs, detail::is_composite<O>());
  const Var first = append(op, inputs);
  VarList results;
  for (int k = 0; k < op.outputs(); ++k) results.push_back({first.id(), static_cast<std::uint32_t>(k)});
  if constexpr (std::is_base_of_v<Fused, O>) observe_parts(op.parts(), first);
  return results;
}

template <class O>
Var Tape::record_one(const O& op, std::span<const Operand> inputs) {
  if constexpr (std::is_base_of_v<Fused, O>)
    if (expands(op, detail::is_composite<O>())) return define(op, inputs, detail::is_composite<O>())[0];
  const Var first = append(op, inputs);
  if constexpr (std::is_base_of_v<Fused, O>) observe_parts(op.parts(), first);
  return first;
}

/// Runs `op` on the tape of its inputs; every op's function ends in this call. Throws when an input is empty,
/// stale or of another tape.
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
VarList apply_all(const O& op, std::initializer_list<Operand> inputs) {
  const std::span<const Operand> operands(inputs.begin(), inputs.size());
  return detail::tape_of_operands(op, operands).record(op, operands);
}
template <class O>
VarList apply_all(const O& op, std::span<const Var> inputs) {
  const ScratchVector<Operand> operands(inputs.begin(), inputs.end());
  return detail::tape_of_operands<O>(op, operands).record(op, operands);
}

/// Calls `op.name()` only when an error needs it.
template <class Op>
requires requires(const Op& op) { op.name(); }
Tape& Var::tape(const Op& op) const {
  if (id_.slot == nullptr || id_.slot->tape == nullptr || !id_.slot->tape->alive(id_)) [[unlikely]]
    return tape(std::string_view(op.name()));
  return const_cast<Tape&>(*id_.slot->tape);
}

}  // namespace tapegrad
