#include <tapegrad/nn/decoder.h>

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/dropout.h>

namespace tapegrad {

DecoderLayer::DecoderLayer(const Scope& scope, const TransformerOptions& o)
    : Layer(scope),
      self_attn(scope / "self_attn", o.d_model, o.nhead,
                {.dropout = o.dropout, .bias = o.bias, .score = o.score}),
      multihead_attn(scope / "multihead_attn", o.d_model, o.nhead,
                     {.dropout = o.dropout, .bias = o.bias, .score = o.score}),
      feed_forward(scope, o.d_model, o.dim_feedforward, o.activation, o.dropout, o.bias),
      norm1(scope / "norm1", o.d_model, {.eps = o.layer_norm_eps, .bias = o.bias}),
      norm2(scope / "norm2", o.d_model, {.eps = o.layer_norm_eps, .bias = o.bias}),
      norm3(scope / "norm3", o.d_model, {.eps = o.layer_norm_eps, .bias = o.bias}),
      dropout(o.dropout),
      norm_first(o.norm_first) {}

Var DecoderLayer::forward(const Var& x, const Var& memory, const Mask& mask, const Mask& memory_mask) const {
  const auto attend = [&](const Var& h) { return tapegrad::dropout(self_attn(h, h, h, mask), dropout); };
  const auto look_up = [&](const Var& h) {
    return tapegrad::dropout(multihead_attn(h, memory, memory, memory_mask), dropout);
  };
  const auto feed = [&](const Var& h) { return tapegrad::dropout(feed_forward(h), dropout); };
  if (norm_first) {
    const Var a = x + attend(norm1(x));
    const Var b = a + look_up(norm2(a));
    return b + feed(norm3(b));
  }
  const Var a = norm1(x + attend(x));
  const Var b = norm2(a + look_up(a));
  return norm3(b + feed(b));
}

Decoder::Decoder(const Scope& scope, const TransformerOptions& options)
    : Layer(scope),
      layers(scope / "layers", options.num_decoder_layers,
             [&](const Scope& s, Index) { return DecoderLayer(s, options); }),
      norm(scope / "norm", options.d_model, {.eps = options.layer_norm_eps, .bias = options.bias}) {}

Var Decoder::forward(const Var& x, const Var& memory, const Mask& mask, const Mask& memory_mask) const {
  Var h = x;
  for (const DecoderLayer& layer : layers) h = layer(h, memory, mask, memory_mask);
  return norm(h);
}

}  // namespace tapegrad
