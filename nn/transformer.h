/// The Transformer: encoder and decoder of "Attention is all you need" (Vaswani et al., 2017).
#pragma once
#include "decoder.h"
#include "encoder.h"

namespace tapegrad::nn {

/// The masks of the three attentions. By default every key is visible; a decoder trained on whole targets
/// needs `.target = Mask::causal()`.
struct TransformerMasks {
  Mask source = {};  ///< encoder self-attention
  Mask target = {};  ///< decoder self-attention
  Mask memory = {};  ///< decoder over the encoder's output
};

/// Maps an embedded source and target to the decoder's output. Parameters are named and shaped as in
/// PyTorch's `nn.Transformer`. Weight matrices start xavier-uniform, attention's output projections
/// U(±1/√d_model); every layer draws its own values.
///   source [batch, source, d_model], target [batch, target, d_model] -> [batch, target, d_model]
struct Transformer : Layer<Transformer> {
  Transformer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& source, const Var& target, const TransformerMasks& masks = {}) const;

  Encoder encoder;
  Decoder decoder;
};

}  // namespace tapegrad::nn
