// Cases of attention: masks, widths, scores, weights as a second result.
#include <tapegrad/nn/attention.h>

#include <tests/parity/layer_case.h>

namespace tapegrad::test {
using namespace nn;
namespace {

/// Query, key and value of their own, [2, 3, ..] and [2, 4, ..].
struct Streams {
  Var query, key, value;
  explicit Streams(LayerInputs& in, Index kdim = 4, Index vdim = 4)
      : query(in.value({2, 3, 4})), key(in.value({2, 4, kdim})), value(in.value({2, 4, vdim})) {}
};

auto on_widths(Index kdim, Index vdim) {
  return [=](const MultiHeadAttention& m, LayerInputs& in) {
    const Streams x(in, kdim, vdim);
    return m(x.query, x.key, x.value);
  };
}

/// Context and weights of every head, under a mask.
VarList with_weights(const MultiHeadAttention& m, LayerInputs& in) {
  const Streams x(in);
  const Mask mask = Mask::from_lengths(in.constant("lengths", Tensor::ids({4, 2})));
  const AttentionResult r = m(x.query, x.key, x.value, mask, {.need_weights = true});
  return {r.context, r.weights};
}

auto self_attention(const Shape& shape, const Mask& mask) {
  return [=](const MultiHeadAttention& m, LayerInputs& in) {
    const Var x = in.value(shape);
    return m(x, x, x, mask);
  };
}

MultiHeadAttention plain(const Scope& s) { return MultiHeadAttention(s, 4, 2); }

constexpr const char* plain_module = "nn.MultiheadAttention(4, 2, batch_first=True)";

const LayerCases masks([] {
  return std::vector<LayerCase>{
      layer_case<MultiHeadAttention>("MultiHeadAttention", plain_module, "m(a, b, c, need_weights=False)[0]",
                                     plain, on_widths(4, 4)),
      layer_case<MultiHeadAttention>("MultiHeadAttention: self", plain_module,
                                     "m(a, a, a, need_weights=False)[0]", plain,
                                     self_attention({2, 3, 4}, Mask::none())),
      layer_case<MultiHeadAttention>("MultiHeadAttention: without batch, causal", plain_module,
                                     "m(a, a, a, attn_mask=causal(5), need_weights=False)[0]", plain,
                                     self_attention({5, 4}, Mask::causal())),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: padded keys", plain_module,
          "m(a, b, c, key_padding_mask=~keep, need_weights=False)[0]", plain,
          [](const MultiHeadAttention& m, LayerInputs& in) {
            const Streams x(in);
            return m(x.query, x.key, x.value, Mask::keys(in.flags("keep", {2, 4})));
          }),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: a mask for all heads", plain_module,
          "m(a, b, c, attn_mask=block, need_weights=False)[0]", plain,
          [](const MultiHeadAttention& m, LayerInputs& in) {
            const Streams x(in);
            const Tensor block = Tensor::of({{1, 0, 0, 1}, {0, 1, 1, 1}, {0, 0, 0, 0}}, DType::boolean);
            return m(x.query, x.key, x.value, Mask::block(in.constant("block", block)));
          }),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: a mask a head", plain_module,
          "m(a, b, c, attn_mask=~keep.flatten(0, 1), need_weights=False)[0]", plain,
          [](const MultiHeadAttention& m, LayerInputs& in) {
            const Streams x(in);
            return m(x.query, x.key, x.value, Mask::keep(in.flags("keep", {2, 2, 3, 4})));
          }),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: causal and lengths", plain_module,
          "m(a, a, a, attn_mask=causal(4), key_padding_mask=beyond(lengths, 4), need_weights=False)[0]",
          plain, [](const MultiHeadAttention& m, LayerInputs& in) {
            const Var x = in.value({2, 4, 4});
            const Tensor lengths = in.constant("lengths", Tensor::ids({4, 2}));
            return m(x, x, x, Mask::causal() & Mask::from_lengths(lengths));
          })};
});

const LayerCases options([] {
  return std::vector<LayerCase>{
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: no bias, dropout", "nn.MultiheadAttention(6, 3, 0.2, False, batch_first=True)",
          "m(a, a, a, need_weights=False)[0]",
          [](const Scope& s) {
            return MultiHeadAttention(s, 6, 3, MultiHeadAttentionOptions{.dropout = 0.2, .bias = false});
          },
          self_attention({2, 3, 6}, Mask::none())),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: kdim", "nn.MultiheadAttention(4, 2, kdim=3, batch_first=True)",
          "m(a, b, c, need_weights=False)[0]",
          [](const Scope& s) { return MultiHeadAttention(s, 4, 2, MultiHeadAttentionOptions{.kdim = 3}); },
          on_widths(3, 4)),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: vdim", "nn.MultiheadAttention(4, 2, vdim=5, batch_first=True)",
          "m(a, b, c, need_weights=False)[0]",
          [](const Scope& s) { return MultiHeadAttention(s, 4, 2, MultiHeadAttentionOptions{.vdim = 5}); },
          on_widths(4, 5)),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: kdim, vdim, one head",
          "nn.MultiheadAttention(4, 1, kdim=6, vdim=3, batch_first=True)",
          "m(a, b, c, attn_mask=causal(3, 4), need_weights=False)[0]",
          [](const Scope& s) {
            return MultiHeadAttention(s, 4, 1, MultiHeadAttentionOptions{.kdim = 6, .vdim = 3});
          },
          [](const MultiHeadAttention& m, LayerInputs& in) {
            const Streams x(in, 6, 3);
            return m(x.query, x.key, x.value, Mask::causal());
          }),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: kdim, vdim, no bias",
          "nn.MultiheadAttention(4, 2, bias=False, kdim=5, vdim=5, batch_first=True)",
          "m(a, b, c, need_weights=False)[0]",
          [](const Scope& s) {
            return MultiHeadAttention(s, 4, 2,
                                      MultiHeadAttentionOptions{.bias = false, .kdim = 5, .vdim = 5});
          },
          on_widths(5, 5)),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: packed though kdim is said",
          "nn.MultiheadAttention(4, 2, kdim=4, vdim=4, batch_first=True)",
          "m(a, b, c, need_weights=False)[0]",
          [](const Scope& s) {
            return MultiHeadAttention(s, 4, 2, MultiHeadAttentionOptions{.kdim = 4, .vdim = 4});
          },
          on_widths(4, 4))};
});

const LayerCases weights([] {
  constexpr const char* call = "m(a, b, c, key_padding_mask=beyond(lengths, 4), average_attn_weights=False)";
  std::vector<LayerCase> cases = {
      layer_case<MultiHeadAttention>("MultiHeadAttention: weights of every head", plain_module, call, plain,
                                     with_weights),
      layer_case<MultiHeadAttention>(
          "MultiHeadAttention: weights, kdim, vdim",
          "nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True)",
          "m(a, b, c, average_attn_weights=False)",
          [](const Scope& s) {
            return MultiHeadAttention(s, 4, 2, MultiHeadAttentionOptions{.kdim = 3, .vdim = 5});
          },
          [](const MultiHeadAttention& m, LayerInputs& in) -> VarList {
            const Streams x(in, 3, 5);
            const AttentionResult r = m(x.query, x.key, x.value, Mask::none(), {.need_weights = true});
            return {r.context, r.weights};
          })};
  for (const auto& [score, name] : {std::pair{Score::dot, "dot"}, std::pair{Score::cosine, "cosine"},
                                    std::pair{Score::negative_distance, "negative_distance"}}) {
    const Score chosen = score;
    cases.push_back(layer_case<MultiHeadAttention>(
        fmt::format("MultiHeadAttention: score {}", name),
        fmt::format("scored('{}', {})", name, plain_module), call,
        [chosen](const Scope& s) {
          return MultiHeadAttention(s, 4, 2, MultiHeadAttentionOptions{.score = chosen});
        },
        with_weights));
  }
  return cases;
});

/// The function attention_by_score().
struct AttentionByScore {
  Score score;

  VarList operator()(LayerInputs& in) const {
    const Var q = in.value({2, 3, 4}), k = in.value({2, 5, 4}), v = in.value({2, 5, 6});
    const AttentionResult r =
        attention_by_score(q, k, v,
                           DotProductAttentionOptions{.score = score,
                                                      .mask = Mask::causal(),
                                                      .bias = in.value({2, 1, 5}),
                                                      .dropout = 0.2,
                                                      .layout = PackedHeads{2},
                                                      .weights = false,  // scores bring them
                                                      .scores = true});
    return {r.context, r.weights, r.scores};
  }
};

const LayerCases function([] {
  std::vector<LayerCase> cases;
  for (const auto& [score, name] :
       {std::pair{Score::scaled_dot, "scaled_dot"}, std::pair{Score::dot, "dot"},
        std::pair{Score::cosine, "cosine"}, std::pair{Score::negative_distance, "negative_distance"}}) {
    const Score chosen = score;
    cases.push_back(layer_case<AttentionByScore>(
        fmt::format("AttentionByScore: {}, bias, causal, packed heads", name), "",
        fmt::format("attend('{}', heads(a, 2), heads(b, 2), heads(c, 2), causal(3, 5), d)", name),
        [chosen](const Scope&) { return AttentionByScore{chosen}; },
        [](const AttentionByScore& attention, LayerInputs& in) { return attention(in); }));
  }
  return cases;
});

}  // namespace
}  // namespace tapegrad::test
