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

template <class Attend, class LookUp>
Var DecoderLayer::sublayers(const Var& x, const Attend& attend, const LookUp& look_up) const {
  // Every value is [batch, target, d_model].
  if (norm_first) {
    const NormedSum a = add_norm(norm2, x, attend(norm1(x)), dropout);
    const NormedSum b = add_norm(norm3, a.sum, look_up(a.normed), dropout);
    return b.sum + tapegrad::dropout(feed_forward(b.normed), dropout);
  }
  const Var a = add_norm(norm1, x, attend(x), dropout).normed;
  const Var b = add_norm(norm2, a, look_up(a), dropout).normed;
  return add_norm(norm3, b, feed_forward(b), dropout).normed;
}

Var DecoderLayer::forward(const Var& x, const Var& memory, const Mask& mask, const Mask& memory_mask) const {
  return sublayers(
      x, [&](const Var& h) { return self_attn(h, h, h, mask); },
      [&](const Var& h) { return multihead_attn(h, memory, memory, memory_mask); });
}

Var DecoderLayer::step(const Var& x, DecoderCache::LayerPast& cache, const CacheRows& past,
                       const CacheRows& memory) const {
  return sublayers(
      x, [&](const Var& h) { return self_attn.step(h, cache.past, past); },
      [&](const Var& h) { return multihead_attn.look_up(h, cache.memory, memory); });
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

DecoderCache Decoder::start(const Var& memory, std::span<const Index> memory_lengths) const {
  expects(memory.rank() == 3 && memory.shape()[0] == static_cast<Index>(memory_lengths.size()),
          "Decoder: memory {} and {} lengths, expected [rows, source, d_model] and a length for every row",
          memory.shape(), memory_lengths.size());
  for (const Index length : memory_lengths)
    expects(length >= 0 && length <= memory.shape()[1], "Decoder: a length of {} in memory {}", length,
            memory.shape());
  std::vector<DecoderCache::LayerPast> caches(layers.size());
  for (std::size_t i = 0; i < caches.size(); ++i)
    caches[i].memory = layers[i].multihead_attn.remember(memory);
  return DecoderCache(std::move(caches), memory_lengths);
}

Var Decoder::step(const Var& x, DecoderCache& cache) const {
  expects(x.rank() == 3 && x.shape()[0] == cache.rows() && x.shape()[1] == 1,
          "Decoder: a step on x {}, expected [{}, 1, d_model]", x.shape(), cache.rows());
  cache.begin_step();
  Var h = x;  // [rows, 1, d_model]
  for (std::size_t i = 0; i < layers.size(); ++i)
    h = layers[i].step(h, cache.layer(i), cache.past_rows(), cache.memory_rows());
  cache.end_step();
  return norm(h);
}

}  // namespace tapegrad::nn
