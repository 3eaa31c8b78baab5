/// The encoder of the Transformer (Vaswani et al., 2017, 3.1), and the options that it shares with the
/// decoder.
#pragma once
#include "attention.h"
#include "containers.h"
#include "feed_forward.h"
#include "norm.h"

namespace tapegrad::nn {

/// Sizes and choices of a Transformer; names and defaults are PyTorch's (`nn.Transformer`, batch first).
struct TransformerOptions {
  Index d_model = 512;
  Index nhead = 8;
  Index num_encoder_layers = 6;
  Index num_decoder_layers = 6;
  Index dim_feedforward = 2048;
  double dropout = 0.1;  ///< of attention weights, of the hidden layer and of each sublayer's result
  Activation activation = Activation::relu;
  double layer_norm_eps = 1e-5;
  bool norm_first = false;  ///< x + f(norm(x)) instead of norm(x + f(x))
  bool bias = true;         ///< false drops every bias, those of the norms too
  Score score = Score::scaled_dot;
  bool checkpoint = false;  ///< drop each layer's activations after its forward and compute them again in the
                            ///< backward pass (see autograd/backward/checkpoint.h): less memory, same bits
};

/// Self-attention, then the feed-forward network, each with dropout, residual sum and layer norm.
///   x [batch, time, d_model] -> [batch, time, d_model]
struct EncoderLayer : Layer<EncoderLayer> {
  EncoderLayer(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Mask& mask = {}) const;

  MultiHeadAttention self_attn;
  FeedForward feed_forward;
  LayerNorm norm1, norm2;
  double dropout;
  bool norm_first;
};

/// `num_encoder_layers` layers, `layers.0`, `layers.1`, …, each with its own initial values, and a last
/// `norm`.
///   x [batch, time, d_model] -> [batch, time, d_model]
struct Encoder : Layer<Encoder> {
  Encoder(const Scope& scope, const TransformerOptions& options);
  Var forward(const Var& x, const Mask& mask = {}) const;

  LayerList<EncoderLayer> layers;
  LayerNorm norm;
  bool checkpoint;
};

}  // namespace tapegrad::nn
