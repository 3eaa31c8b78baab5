/// The base of every layer: it keeps the layer's path, and its call operator runs `forward` under that path.
#pragma once
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "../autograd/find_tape.h"
#include "../autograd/parameter.h"
#include "layer_call.h"

namespace tapegrad::nn {

/// Base of every layer: `struct Mine : Layer<Mine> { Mine(Scope s) : Layer(s), … {} Var forward(const Var& x)
/// const; };`. Calling a layer runs `forward` with its path on the tape, then the tape's hooks on the result,
/// and adds the path to an Error that passes. The call takes the parameters of `forward`, so a braced list
/// converts as in a function's call and default arguments may be left out: `layer(x, {.mask = mask})`. (A
/// layer with several functions `forward`, or a template, is called with arguments of their own types.) The
/// hooks get the result when it is a Var, or what its `const Var& observed() const` names when it is a struct
/// that has one. Layers move and do not copy. A layer whose rows depend on other examples of the batch says
/// `static constexpr bool mixes_examples = true;` and is refused in a sharded step.
template <class Self>
class Layer : public detail::LayerCalls<Self> {
 public:
  explicit Layer(const Scope& scope) : path_(interned_path(scope.path())) {}
  Layer(Layer&&) = default;
  Layer& operator=(Layer&&) = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const std::string& path() const { return *path_; }

 protected:
  ~Layer() = default;

 private:
  template <class, class>
  friend struct detail::LayerCall;

  template <class... Args>
  auto call(Args&&... args) const {
    Tape& tape = tapegrad::detail::find_tape(args...);
    return record_layer(tape, path_, [&] {
      if constexpr (requires { Self::mixes_examples; })
        expects(!Self::mixes_examples || !tape.options().sharded,
                "layer: it mixes examples, so its result would depend on how a sharded step cuts the batch");
      auto result = static_cast<const Self&>(*this).forward(std::forward<Args>(args)...);
      if constexpr (std::is_same_v<decltype(result), Var>)
        tape.observe(*path_, result);
      else if constexpr (requires {
                           { result.observed() } -> std::convertible_to<const Var&>;
                         })
        tape.observe(*path_, result.observed());
      return result;
    });
  }

  const std::string* path_;
};

}  // namespace tapegrad::nn
