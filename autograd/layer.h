#pragma once
#include <concepts>
#include <type_traits>
#include <utility>

#include <tapegrad/autograd/parameter.h>
#include <tapegrad/autograd/tape.h>

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

/// The tape of the first argument that has one.
template <class First, class... Rest>
Tape& find_tape(First& first, Rest&... rest) {
  if (Tape* found = tape_of(first)) return *found;
  if constexpr (sizeof...(rest) > 0)
    return find_tape(rest...);
  else
    throw Error("layer: no argument is a Tape or a Var, so there is no tape to record on");
}

/// Nodes recorded during its life carry `path`.
class PathGuard {
 public:
  PathGuard(Tape& tape, const std::string* path) : tape_(tape), before_(tape.path()) { tape.set_path(path); }
  ~PathGuard() { tape_.set_path(before_); }
  PathGuard(const PathGuard&) = delete;
  PathGuard& operator=(const PathGuard&) = delete;

 private:
  Tape& tape_;
  const std::string* before_;
};

}  // namespace detail

/// Base of every layer: `struct Mine : Layer<Mine> { Mine(Scope s) : Layer(s), … {} Var forward(const Var& x)
/// const; };`. It keeps the layer's path; calling the layer runs `forward` with that path on the tape, then
/// the tape's hooks, and an Error that passes gets it as its place. Layers move and do not copy. A layer
/// whose rows depend on other examples of the batch says `static constexpr bool mixes_examples = true;` and
/// is refused in a sharded step.
template <class Self>
class Layer {
 public:
  explicit Layer(const Scope& scope) : path_(interned_path(scope.path())) {}
  Layer(Layer&&) = default;
  Layer& operator=(Layer&&) = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const std::string& path() const { return *path_; }

  template <class... Args>
  auto operator()(Args&&... args) const {
    Tape& tape = detail::find_tape(args...);
    const detail::PathGuard guard(tape, path_);
    try {
      if constexpr (requires { Self::mixes_examples; })
        expects(!Self::mixes_examples || !tape.options().sharded,
                "layer: it mixes examples, so its result would depend on how a sharded step cuts the batch");
      auto result = static_cast<const Self&>(*this).forward(std::forward<Args>(args)...);
      if constexpr (std::is_same_v<decltype(result), Var>)
        tape.run_hooks(*path_, result);
      else if constexpr (requires {
                           { result.context } -> std::convertible_to<const Var&>;
                         })
        tape.run_hooks(*path_, result.context);
      else if constexpr (requires {
                           { result.normed } -> std::convertible_to<const Var&>;
                         })
        tape.run_hooks(*path_, result.normed);
      return result;
    } catch (Error& error) {
      error.add_path(*path_);
      throw;
    }
  }

 protected:
  ~Layer() = default;

 private:
  const std::string* path_;
};

}  // namespace tapegrad
