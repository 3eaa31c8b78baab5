/// The module path under which ops are recorded, and the tape that a call's arguments belong to. Layers and
/// checkpoints rest on both.
#pragma once
#include <concepts>
#include <string>

#include "tape.h"

namespace tapegrad {

/// Nodes that are recorded during its life carry `path`, which must live as long as the tape
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

/// The tape of the first argument that has one.
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
