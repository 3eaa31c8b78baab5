#pragma once
#include "decoder.h"
#include "encoder.h"

namespace tapegrad::nn {

/// Who may look at what. Left out, everything takes part; a decoder that is trained on whole targets wants
/// `.target = Mask::causal()`.
struct TransformerMasks {
  Mask source = {};  ///< encoder self-attention
  Mask target = {};  ///< decoder self-attention
  Mask memory = {};  ///< decoder over the encoder's output
};

/// Encoder and decoder of "Attention is all you need" (Vaswani et al., 2017) between embedded sequences;
/// parameters are named and shaped as in PyTorch's `nn.Transformer`. Every weight matrix starts
/// xavier-uniform, but for attention's output projection, U(±1/√d_model); each layer on its own. source
/// [batch, source, d_model], target [batch, target, d_model] -> [batch, target, d_model]
struct Transformer : Layer<Transformer> {
  Transformer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& source, const Var& target, const TransformerMasks& masks = {}) const;

  Encoder encoder;
  Decoder decoder;
};

}  // namespace tapegrad::nn
