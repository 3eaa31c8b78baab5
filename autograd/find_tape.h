/// Finds the tape of a call from its arguments; layers and checkpoints use it.
#pragma once
#include <concepts>

#include "tape.h"

namespace tapegrad {

namespace detail {

inline Tape* tape_of(Tape& tape) { return &tape; }
inline Tape* tape_of(const Var& x) { return &x.tape("layer"); }
template <class T>
Tape* tape_of(const T& argument) {
  if constexpr (requires {
                  { argument.tape() } -> std::convertible_to<Tape&>;
                })
    return &argument.tape();
  else
    return nullptr;
}

/// Returns the tape of the first argument that has one; throws Error when none has.
template <class First, class... Rest>
Tape& find_tape(First& first, Rest&... rest) {
  if (Tape* found = tape_of(first)) return *found;
  if constexpr (sizeof...(rest) > 0)
    return find_tape(rest...);
  else
    throw Error("layer: no argument is a Tape or a Var, so there is no tape to record on");
}

}  // namespace detail
}  // namespace tapegrad
