/// Containers of layers: a numbered list, a type-erased layer, and Sequential.
#pragma once
#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include "layer.h"

namespace tapegrad::nn {

/// Layers of one type by number: `layers.0`, `layers.1`, … `make(scope, i)` builds layer i, so each has its
/// own initial values.
template <class L>
class LayerList {
 public:
  template <class Make>
  LayerList(const Scope& scope, Index count, Make&& make) {
    expects(count >= 0, "{}: {} layers; the number must not be negative", scope.path(), count);
    layers_.reserve(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) layers_.push_back(make(scope / i, i));
  }

  std::size_t size() const { return layers_.size(); }
  const L& operator[](std::size_t i) const { return layers_.at(i); }
  auto begin() const { return layers_.begin(); }
  auto end() const { return layers_.end(); }

 private:
  std::vector<L> layers_;
};

/// A type-erased layer or function from one Var to one Var; movable, not copyable.
class AnyLayer {
 public:
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, AnyLayer> &&
           std::is_invocable_r_v<Var, const std::remove_cvref_t<F>&, const Var&>) AnyLayer(F layer)
      : held_(std::make_unique<Holder<F>>(std::move(layer))) {}

  Var operator()(const Var& x) const { return held_->call(x); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual Var call(const Var& x) const = 0;
  };
  template <class F>
  struct Holder final : Base {
    explicit Holder(F f) : layer(std::move(f)) {}
    Var call(const Var& x) const override { return layer(x); }
    F layer;
  };
  std::unique_ptr<Base> held_;
};

/// Layers and functions one after another. As in PyTorch, each is named by its position, functions without
/// parameters included.
///
///     Sequential net(scope);                            // 0.weight 0.bias 2.weight 2.bias
///     net.add<Linear>(2, 8).add(gelu).add<Linear>(8, 1).add([](const Var& x) { return 0.5 * x; });
struct Sequential : Layer<Sequential> {
  explicit Sequential(const Scope& scope) : Layer(scope), scope_(scope) {}

  /// Appends an L(scope / position, arguments…).
  template <class L, class... Args>
  Sequential& add(Args&&... arguments) {
    layers_.emplace_back(L(scope_ / static_cast<Index>(layers_.size()), std::forward<Args>(arguments)...));
    return *this;
  }
  /// A function of a Var; of an overloaded one, such as `gelu`, the one without options.
  Sequential& add(Var (*function)(const Var&)) {
    layers_.emplace_back(function);
    return *this;
  }
  /// A layer, or anything else that can be called with a Var.
  template <class F>
  requires std::is_invocable_r_v<Var, const F&, const Var&> Sequential& add(F layer) {
    layers_.emplace_back(std::move(layer));
    return *this;
  }

  Var forward(const Var& x) const {
    Var y = x;
    for (const AnyLayer& layer : layers_) y = layer(y);
    return y;
  }
  std::size_t size() const { return layers_.size(); }

 private:
  Scope scope_;
  std::vector<AnyLayer> layers_;
};

}  // namespace tapegrad::nn
