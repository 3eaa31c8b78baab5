#pragma once
#include "encoder.h"

namespace tapegrad::nn {

/// Masked self-attention, attention over the encoder's memory, then the feed-forward network.
/// x [batch, target, d_model], memory [batch, source, d_model] -> [batch, target, d_model]
struct DecoderLayer : Layer<DecoderLayer> {
  DecoderLayer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;
  /// The newest position alone, as layer `layer` of the cache's decoder.   x [rows, 1, d_model] -> same
  Var step(const Var& x, DecoderCache& cache, std::size_t layer) const;

  MultiHeadAttention self_attn, multihead_attn;
  FeedForward feed_forward;
  LayerNorm norm1, norm2, norm3;
  double dropout;
  bool norm_first;

 private:
  template <class Attend, class CrossAttend, class Feed>
  Var sublayers(const Var& x, const Attend& attend, const CrossAttend& cross_attend, const Feed& feed) const;
};

/// `num_decoder_layers` layers and a last `norm`.
struct Decoder : Layer<Decoder> {
  Decoder(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;

  /// Decoding step by step, on a tape that does not record: what `memory` [rows, source, d_model] gives every
  /// layer, of which row r takes the first `memory_lengths[r]` places. Valid as long as the tape's values.
  /// `weights` are transposed copies that several caches share; without them the cache makes its own.
  DecoderCache start(const Var& memory, std::span<const Index> memory_lengths,
                     std::shared_ptr<TransposedWeights> weights = nullptr) const;
  /// `forward` with a causal mask for the newest position alone, the earlier ones being in `cache`, with the
  /// same bits.   x [rows, 1, d_model] -> same. Hooks see the norms alone, taps nothing.
  Var step(const Var& x, DecoderCache& cache) const;

  LayerList<DecoderLayer> layers;
  LayerNorm norm;
  bool checkpoint;
};

}  // namespace tapegrad::nn
