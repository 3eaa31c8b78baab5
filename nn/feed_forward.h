/// The feed-forward network of a Transformer layer.
#pragma once
#include "decode/transposed_weights.h"
#include "linear.h"

namespace tapegrad::nn {

/// FFN(x) = dropout(activation(x W₁ᵀ + b₁)) W₂ᵀ + b₂ (Vaswani et al., 2017, 3.3), the part that encoder and
/// decoder layers share. Its two Linears are the layer's own `linear1` and `linear2`, as in PyTorch, so it
/// has no path of its own.   [.., width] -> same
struct FeedForward {
  FeedForward(const Scope& scope, Index width, Index hidden, Activation activation, double dropout,
              bool bias);
  Var operator()(const Var& x) const;
  /// A step of decoding, without dropout, with the bits of a call.
  Var step(const Var& x, TransposedWeights& weights) const;

  Linear linear1, linear2;
  Activation activation;
  double dropout;
};

}  // namespace tapegrad::nn
