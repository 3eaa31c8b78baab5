/// Internal: the call operators of Layer, one for each number of arguments that `forward` can be called with.
#pragma once
#include <cstddef>
#include <utility>

namespace tapegrad::nn {

template <class Self>
class Layer;

namespace detail {

/// The parameter types of a member function. `at<i>` is no type beyond the last, which substitution may meet.
template <class... P>
struct Parameters {};
template <std::size_t i, class List>
struct ParameterAt {};
template <class First, class... Rest>
struct ParameterAt<0, Parameters<First, Rest...>> {
  using type = First;
};
template <std::size_t i, class First, class... Rest>
struct ParameterAt<i, Parameters<First, Rest...>> : ParameterAt<i - 1, Parameters<Rest...>> {};

template <class R, class S, class... P>
Parameters<P...> parameters_of(R (S::*)(P...) const);

/// A layer with one function `forward`, so that its parameters are known.
template <class S>
concept OneForward = requires {
  parameters_of(&S::forward);
};

template <OneForward S, std::size_t i>
using ForwardParameter = typename ParameterAt<i, decltype(parameters_of(&S::forward))>::type;

/// The call with the first sizeof...(i) parameters of `forward`. S is always Self, which is complete only
/// when a call is compiled.
template <class Self, class Indices>
struct LayerCall;
template <class Self, std::size_t... i>
struct LayerCall<Self, std::index_sequence<i...>> {
  template <OneForward S = Self>
  auto operator()(ForwardParameter<S, i>... arguments) const requires requires(const S& layer) {
    layer.forward(std::forward<ForwardParameter<S, i>>(arguments)...);
  }
  {
    return static_cast<const Layer<S>&>(static_cast<const S&>(*this))
        .call(std::forward<ForwardParameter<S, i>>(arguments)...);
  }
};
/// The call of a layer with several functions `forward`.
template <class Self>
struct LayerCall<Self, void> {
  template <class... Args>
  requires(!OneForward<Self>) auto operator()(Args&&... arguments) const {
    return static_cast<const Layer<Self>&>(static_cast<const Self&>(*this))
        .call(std::forward<Args>(arguments)...);
  }
};

template <class Self, class... Indices>
struct LayerCallsOf : LayerCall<Self, Indices>... {
  using LayerCall<Self, Indices>::operator()...;
};
template <class Self>
using LayerCalls =
    LayerCallsOf<Self, void, std::make_index_sequence<1>, std::make_index_sequence<2>,
                 std::make_index_sequence<3>, std::make_index_sequence<4>, std::make_index_sequence<5>,
                 std::make_index_sequence<6>, std::make_index_sequence<7>, std::make_index_sequence<8>>;

}  // namespace detail
}  // namespace tapegrad::nn
