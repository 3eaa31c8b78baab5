#pragma once
#include <tapegrad/nn/encoder.h>

namespace tapegrad {

/// Masked self-attention, attention over the encoder's memory, then the feed-forward network.
/// x [batch, target, d_model], memory [batch, source, d_model] -> [batch, target, d_model]
struct DecoderLayer : Layer<DecoderLayer> {
  DecoderLayer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;

  MultiHeadAttention self_attn, multihead_attn;
  FeedForward feed_forward;
  LayerNorm norm1, norm2, norm3;
  double dropout;
  bool norm_first;
};

/// `num_decoder_layers` layers and a last `norm`.
struct Decoder : Layer<Decoder> {
  Decoder(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;

  LayerList<DecoderLayer> layers;
  LayerNorm norm;
};

}  // namespace tapegrad
