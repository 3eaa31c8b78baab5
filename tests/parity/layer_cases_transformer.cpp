// Cases of the Transformer and its parts.
#include <tapegrad/nn/transformer.h>

#include <tests/parity/layer_case.h>

namespace tapegrad::test {
using namespace nn;
namespace {

/// Small, and away from the defaults; equal to `nn.Transformer(4, 2, …)` below.
constexpr TransformerOptions post_norm = TransformerOptions{.d_model = 4,
                                                            .nhead = 2,
                                                            .num_encoder_layers = 1,
                                                            .num_decoder_layers = 2,
                                                            .dim_feedforward = 6,
                                                            .dropout = 0};
constexpr TransformerOptions pre_norm = TransformerOptions{.d_model = 6,
                                                           .nhead = 3,
                                                           .num_encoder_layers = 2,
                                                           .num_decoder_layers = 1,
                                                           .dim_feedforward = 5,
                                                           .dropout = 0.2,
                                                           .activation = Activation::gelu,
                                                           .layer_norm_eps = 1e-2,
                                                           .norm_first = true,
                                                           .checkpoint = true};
constexpr TransformerOptions bare = TransformerOptions{.d_model = 4,
                                                       .nhead = 1,
                                                       .num_encoder_layers = 1,
                                                       .num_decoder_layers = 1,
                                                       .dim_feedforward = 4,
                                                       .dropout = 0,
                                                       .bias = false};

/// d_model, nhead, dim_feedforward and the rest of PyTorch's arguments, by position or name.
constexpr const char* post_layer = "4, 2, 6, 0.0, batch_first=True";
constexpr const char* pre_layer = "6, 3, 5, 0.2, 'gelu', 1e-2, True, True";
constexpr const char* bare_layer = "4, 1, 4, 0.0, batch_first=True, bias=False";

struct Choice {
  const char* label;
  TransformerOptions options;
  const char* layer;
  const char* last_norm;  ///< of an encoder or decoder
};
constexpr Choice choices[] = {
    {"post-norm", post_norm, post_layer, "nn.LayerNorm(4)"},
    {"pre-norm, gelu, eps, dropout", pre_norm, pre_layer, "nn.LayerNorm(6, 1e-2)"},
    {"no bias", bare, bare_layer, "nn.LayerNorm(4, bias=False)"},
};

/// [2, 4, d_model] with the second row's last two steps masked.
struct Source {
  Var x;
  Mask mask;
  Source(LayerInputs& in, Index width)
      : x(in.value({2, 4, width})), mask(Mask::from_lengths(in.constant("lengths", Tensor::ids({4, 2})))) {}
};

const LayerCases encoders([] {
  std::vector<LayerCase> cases;
  for (const Choice& c : choices) {
    const TransformerOptions o = c.options;
    const auto call = [o](const auto& m, LayerInputs& in) {
      const Source source(in, o.d_model);
      return m(source.x, source.mask);
    };
    cases.push_back(layer_case<EncoderLayer>(
        fmt::format("EncoderLayer: {}", c.label), fmt::format("nn.TransformerEncoderLayer({})", c.layer),
        "m(a, src_key_padding_mask=beyond(lengths, 4))", [o](const Scope& s) { return EncoderLayer(s, o); },
        call));
    cases.push_back(layer_case<Encoder>(
        fmt::format("Encoder: {}", c.label),
        fmt::format("nn.TransformerEncoder(nn.TransformerEncoderLayer({}), {}, {}, False)", c.layer,
                    o.num_encoder_layers, c.last_norm),
        "m(a, src_key_padding_mask=beyond(lengths, 4))", [o](const Scope& s) { return Encoder(s, o); },
        call));
  }
  return cases;
});

const LayerCases decoders([] {
  constexpr const char* torch =
      "m(a, b, tgt_mask=causal(3), tgt_is_causal=True, memory_key_padding_mask=beyond(lengths, 4))";
  std::vector<LayerCase> cases;
  for (const Choice& c : choices) {
    const TransformerOptions o = c.options;
    const auto call = [o](const auto& m, LayerInputs& in) {
      const Var target = in.value({2, 3, o.d_model});
      const Source memory(in, o.d_model);
      return m(target, memory.x, Mask::causal(), memory.mask);
    };
    cases.push_back(layer_case<DecoderLayer>(
        fmt::format("DecoderLayer: {}", c.label), fmt::format("nn.TransformerDecoderLayer({})", c.layer),
        torch, [o](const Scope& s) { return DecoderLayer(s, o); }, call));
    cases.push_back(layer_case<Decoder>(
        fmt::format("Decoder: {}", c.label),
        fmt::format("nn.TransformerDecoder(nn.TransformerDecoderLayer({}), {}, {})", c.layer,
                    o.num_decoder_layers, c.last_norm),
        torch, [o](const Scope& s) { return Decoder(s, o); }, call));
  }
  return cases;
});

Transformer transformer_of(const Scope& s, const TransformerOptions& o) { return Transformer(s, o); }

/// Three masks that differ, so that mixing them up shows.
auto masked(Index width) {
  return [=](const Transformer& m, LayerInputs& in) {
    const Source source(in, width);
    const Var target = in.value({2, 3, width});
    const Mask keys = Mask::keys(in.flags("keep", {2, 3}));
    const Tensor memory = in.constant("memory_lengths", Tensor::ids({3, 4}));
    return m(
        source.x, target,
        TransformerMasks{
            .source = source.mask, .target = Mask::causal() & keys, .memory = Mask::from_lengths(memory)});
  };
}

constexpr const char* masked_call =
    "m(a, b, src_key_padding_mask=beyond(lengths, 4), tgt_mask=causal(3), tgt_key_padding_mask=~keep, "
    "memory_key_padding_mask=beyond(memory_lengths, 4))";

const LayerCases transformers([] {
  std::vector<LayerCase> cases = {
      layer_case<Transformer>(
          "Transformer: post-norm, masks", "nn.Transformer(4, 2, 1, 2, 6, 0.0, batch_first=True)",
          masked_call, [](const Scope& s) { return transformer_of(s, post_norm); }, masked(4)),
      layer_case<Transformer>(
          "Transformer: pre-norm, gelu, eps, dropout, masks",
          "nn.Transformer(6, 3, 2, 1, 5, 0.2, 'gelu', None, None, 1e-2, True, True)", masked_call,
          [](const Scope& s) { return transformer_of(s, pre_norm); }, masked(6)),
      layer_case<Transformer>(
          "Transformer: no bias, no masks",
          "nn.Transformer(4, 1, 1, 1, 4, 0.0, batch_first=True, bias=False)", "m(a, b)",
          [](const Scope& s) { return transformer_of(s, bare); },
          [](const Transformer& m, LayerInputs& in) {
            const Var source = in.value({2, 4, 4});
            return m(source, in.value({2, 3, 4}));
          })};
  for (const auto& [score, name] : {std::pair{Score::dot, "dot"}, std::pair{Score::cosine, "cosine"}}) {
    const Score chosen = score;
    cases.push_back(layer_case<Transformer>(
        fmt::format("Transformer: score {}", name),
        fmt::format("scored('{}', nn.Transformer(4, 2, 1, 1, 6, 0.0, batch_first=True))", name), masked_call,
        [chosen](const Scope& s) {
          return Transformer(s, TransformerOptions{.d_model = 4,
                                                   .nhead = 2,
                                                   .num_encoder_layers = 1,
                                                   .num_decoder_layers = 1,
                                                   .dim_feedforward = 6,
                                                   .score = chosen});
        },
        masked(4)));
  }
  return cases;
});

}  // namespace
}  // namespace tapegrad::test
