#pragma once
#include <concepts>
#include <type_traits>
#include <utility>

#include "../autograd/find_tape.h"
#include "../autograd/parameter.h"

namespace tapegrad::nn {

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
    const RecordScope scope(tape, path_);
    try {
      if constexpr (requires { Self::mixes_examples; })
        expects(!Self::mixes_examples || !tape.options().sharded,
                "layer: it mixes examples, so its result would depend on how a sharded step cuts the batch");
      auto result = static_cast<const Self&>(*this).forward(std::forward<Args>(args)...);
      if constexpr (std::is_same_v<decltype(result), Var>)
        tape.observe(*path_, result);
      else if constexpr (requires {
                           { result.context } -> std::convertible_to<const Var&>;
                         })
        tape.observe(*path_, result.context);
      else if constexpr (requires {
                           { result.normed } -> std::convertible_to<const Var&>;
                         })
        tape.observe(*path_, result.normed);
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

}  // namespace tapegrad::nn
