#include "decoder.h"

#include "../autograd/backward/checkpoint.h"
#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/dropout.h"

namespace tapegrad::nn {

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

template <class Attend, class CrossAttend, class Feed>
Var DecoderLayer::sublayers(const Var& x, const Attend& attend, const CrossAttend& cross_attend,
                            const Feed& feed) const {
  // pre-norm:   a = x + dropout(attention(norm1(x))),  b = a + dropout(cross_attention(norm2(a))),
  //             y = b + dropout(FFN(norm3(b)))
  // post-norm:  a = norm1(x + dropout(attention(x))),  b = norm2(a + dropout(cross_attention(a))),
  //             y = norm3(b + dropout(FFN(b)))
  // add_norm(norm, x, f, p) gives sum = x + dropout(f) and normed = norm(sum), each [batch, target, d_model].
  if (norm_first) {
    const NormedSum a = add_norm(norm2, x, attend(norm1(x)), dropout);
    const NormedSum b = add_norm(norm3, a.sum, cross_attend(a.normed), dropout);
    return b.sum + tapegrad::dropout(feed(b.normed), dropout);
  }
  const Var a = add_norm(norm1, x, attend(x), dropout).normed;
  const Var b = add_norm(norm2, a, cross_attend(a), dropout).normed;
  return add_norm(norm3, b, feed(b), dropout).normed;
}

Var DecoderLayer::forward(const Var& x, const Var& memory, const Mask& mask, const Mask& memory_mask) const {
  return sublayers(
      x, [&](const Var& h) { return self_attn(h, h, h, mask); },
      [&](const Var& h) { return multihead_attn(h, memory, memory, memory_mask); }, feed_forward);
}

Var DecoderLayer::step(const Var& x, DecoderCache& cache, std::size_t layer) const {
  DecoderCache::LayerCache& kept = cache.layer(layer);
  TransposedWeights& weights = cache.weights();
  return sublayers(
      x, [&](const Var& h) { return self_attn.step(h, kept.past, cache.past_rows(), weights); },
      [&](const Var& h) {
        return multihead_attn.cross_attend_step(h, kept.memory, cache.memory_rows(), weights);
      },
      [&](const Var& h) { return feed_forward.step(h, weights); });
}

Decoder::Decoder(const Scope& scope, const TransformerOptions& options)
    : Layer(scope),
      layers(scope / "layers", options.num_decoder_layers,
             [&](const Scope& s, Index) { return DecoderLayer(s, options); }),
      norm(scope / "norm", options.d_model, {.eps = options.layer_norm_eps, .bias = options.bias}),
      checkpoint(options.checkpoint) {}

Var Decoder::forward(const Var& x, const Var& memory, const Mask& mask, const Mask& memory_mask) const {
  Var h = x;  // [batch, target, d_model]
  for (const DecoderLayer& layer : layers)
    h = checkpoint ? tapegrad::checkpoint(layer, h, memory, mask, memory_mask)
                   : layer(h, memory, mask, memory_mask);
  return norm(h);
}

DecoderCache Decoder::start(const Var& memory, std::span<const Index> memory_lengths,
                            std::shared_ptr<TransposedWeights> weights) const {
  expects(memory.rank() == 3 && memory.shape()[0] == static_cast<Index>(memory_lengths.size()),
          "Decoder: memory {} and {} lengths, expected [rows, source, d_model] and a length for every row",
          memory.shape(), memory_lengths.size());
  for (const Index length : memory_lengths)
    expects(length >= 0 && length <= memory.shape()[1],
            "Decoder: memory length {} is out of range for memory {}; it must be from 0 to {}", length,
            memory.shape(), memory.shape()[1]);
  std::vector<DecoderCache::LayerCache> caches(layers.size());
  for (std::size_t i = 0; i < caches.size(); ++i)
    caches[i].memory = layers[i].multihead_attn.precompute_cross_kv(memory);
  if (!weights) weights = std::make_shared<TransposedWeights>();
  return DecoderCache(std::move(caches), memory_lengths, std::move(weights));
}

Var Decoder::step(const Var& x, DecoderCache& cache) const {
  expects(x.rank() == 3 && x.shape()[0] == cache.rows() && x.shape()[1] == 1,
          "Decoder: step: x is {}, expected [{}, 1, d_model]", x.shape(), cache.rows());
  cache.begin_step();
  Var h = x;  // [rows, 1, d_model]
  for (std::size_t i = 0; i < layers.size(); ++i) h = layers[i].step(h, cache, i);
  cache.end_step();
  return norm(h);
}

}  // namespace tapegrad::nn
