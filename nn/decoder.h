/// The decoder of the Transformer (Vaswani et al., 2017, 3.1): whole targets in training, one position a step
/// in decoding.
#pragma once
#include "encoder.h"

namespace tapegrad::nn {

/// Masked self-attention, attention over the encoder's memory, then the feed-forward network.
///   x [batch, target, d_model], memory [batch, source, d_model] -> [batch, target, d_model]
struct DecoderLayer : Layer<DecoderLayer> {
  DecoderLayer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;
  /// Computes the newest position alone, as layer `layer` of the cache's decoder.   x [rows, 1, d_model] ->
  /// [rows, 1, d_model]
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
///   x [batch, target, d_model], memory [batch, source, d_model] -> [batch, target, d_model]
struct Decoder : Layer<Decoder> {
  Decoder(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Var& memory, const Mask& mask = {}, const Mask& memory_mask = {}) const;

  /// Starts decoding step by step on a tape that does not record: computes every layer's keys and values of
  /// `memory` [rows, source, d_model]; row r reads its first `memory_lengths[r]` positions. The cache is
  /// valid as long as the tape's values. Several caches may share `weights`, transposed copies; without them
  /// the cache makes its own.
  DecoderCache start(const Var& memory, std::span<const Index> memory_lengths,
                     std::shared_ptr<TransposedWeights> weights = nullptr) const;
  /// `forward` with a causal mask for the newest position alone, with the earlier positions in `cache`;
  /// bit-identical to it.   x [rows, 1, d_model] -> [rows, 1, d_model]. Hooks run only for the norms, and
  /// taps collect nothing.
  Var step(const Var& x, DecoderCache& cache) const;

  LayerList<DecoderLayer> layers;
  LayerNorm norm;
  bool checkpoint;
};

}  // namespace tapegrad::nn
