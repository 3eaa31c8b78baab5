#include "encoder.h"

#include "../autograd/backward/checkpoint.h"
#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/dropout.h"

namespace tapegrad::nn {

EncoderLayer::EncoderLayer(const Scope& scope, const TransformerOptions& o)
    : Layer(scope),
      self_attn(scope / "self_attn", o.d_model, o.nhead,
                {.dropout = o.dropout, .bias = o.bias, .score = o.score}),
      feed_forward(scope, o.d_model, o.dim_feedforward, o.activation, o.dropout, o.bias),
      norm1(scope / "norm1", o.d_model, {.eps = o.layer_norm_eps, .bias = o.bias}),
      norm2(scope / "norm2", o.d_model, {.eps = o.layer_norm_eps, .bias = o.bias}),
      dropout(o.dropout),
      norm_first(o.norm_first) {}

Var EncoderLayer::forward(const Var& x, const Mask& mask) const {
  // pre-norm:   a = x + dropout(attention(norm1(x))),  y = a + dropout(FFN(norm2(a)))
  // post-norm:  a = norm1(x + dropout(attention(x))),  y = norm2(a + dropout(FFN(a)))
  // add_norm(norm, x, f, p) gives sum = x + dropout(f) and normed = norm(sum), each [batch, time, d_model].
  const auto attend = [&](const Var& h) { return self_attn(h, h, h, mask); };
  if (norm_first) {
    const NormedSum a = add_norm(norm2, x, attend(norm1(x)), dropout);
    return a.sum + tapegrad::dropout(feed_forward(a.normed), dropout);
  }
  const Var a = add_norm(norm1, x, attend(x), dropout).normed;
  return add_norm(norm2, a, feed_forward(a), dropout).normed;
}

Encoder::Encoder(const Scope& scope, const TransformerOptions& options)
    : Layer(scope),
      layers(scope / "layers", options.num_encoder_layers,
             [&](const Scope& s, Index) { return EncoderLayer(s, options); }),
      norm(scope / "norm", options.d_model, {.eps = options.layer_norm_eps, .bias = options.bias}),
      checkpoint(options.checkpoint) {}

Var Encoder::forward(const Var& x, const Mask& mask) const {
  Var h = x;  // [batch, time, d_model]
  for (const EncoderLayer& layer : layers)
    h = checkpoint ? tapegrad::checkpoint(layer, h, mask) : layer(h, mask);
  return norm(h);
}

}  // namespace tapegrad::nn
