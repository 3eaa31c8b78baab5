// nn.Transformer and nn.MultiheadAttention of PyTorch: values, losses and all gradients.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/transformer.h>

#include <tests/parity/golden.h>

namespace tapegrad {
using namespace nn;
namespace {

using test::Comparison;
using test::Golden;
using test::Way;

/// Values for every parameter of the store and none left over.
void assign_all(const ParameterStore& params, const Golden& golden, const std::string& prefix) {
  BOOST_TEST(params.size() == golden.under(prefix).size());
  for (const Parameter& p : params) p.assign(golden.at(p.path()));
}

TransformerOptions options_of(const Golden& golden) {
  return {.d_model = golden.count("d_model"),
          .nhead = golden.count("nhead"),
          .num_encoder_layers = golden.count("num_encoder_layers"),
          .num_decoder_layers = golden.count("num_decoder_layers"),
          .dim_feedforward = golden.count("dim_feedforward"),
          .dropout = 0,
          .activation = golden.metadata("activation") == "gelu" ? Activation::gelu : Activation::relu,
          .layer_norm_eps = std::stod(golden.metadata("layer_norm_eps")),
          .norm_first = golden.flag("norm_first"),
          .bias = golden.flag("bias")};
}

Mask padding(const Golden& golden, const std::string& name) {
  return golden.has(name) ? Mask::block(test::padding_of_keys(golden.at(name))) : Mask::none();
}

TransformerMasks masks_of(const Golden& golden) {
  const Mask target = padding(golden, "tgt_key_padding_mask");
  return {.source = padding(golden, "src_key_padding_mask"),
          .target = golden.flag("tgt_is_causal") ? target & Mask::causal() : target,
          .memory = padding(golden, "memory_key_padding_mask")};
}

void check_step(const std::string& name) {
  const Golden golden(name);
  const TransformerMasks masks = masks_of(golden);
  for (const Way& way : test::ways) {
    Comparison comparison(fmt::format("{}, {}", name, way.name), way.limit());
    ParameterStore params(1, way.dtype);
    const Transformer model(params.root() / "model", options_of(golden));
    assign_all(params, golden, "model.");
    Tape tape(way.tape());
    const Var src = tape.variable(golden.at("src").to(way.dtype));
    const Var tgt = tape.variable(golden.at("tgt").to(way.dtype));
    const Var memory = model.encoder(src, masks.source);
    const Var out = model(src, tgt, masks);
    const Var loss = sum(out * tape.constant(golden.at("dout").to(way.dtype)));
    const Gradients g = tape.backward(loss, {.create_graph = way.create_graph});
    comparison.check("memory", memory.value(), golden.at("memory"));
    comparison.check("out", out.value(), golden.at("out"));
    comparison.check("loss", loss.value(), golden.at("loss"));
    comparison.check("grad.src", g[src], golden.at("grad.src"));
    comparison.check("grad.tgt", g[tgt], golden.at("grad.tgt"));
    for (const Parameter& p : params)
      comparison.check("grad." + p.path(), g[p], golden.at("grad." + p.path()));
  }
}

/// `inputs` names query, key and value in the file; a single name is used for all three.
void check_attention(const std::string& name, const std::vector<std::string>& inputs, const Mask& causal) {
  const Golden golden("mha");
  const Mask mask = causal & padding(golden, name + ".key_padding_mask");
  for (const Way& way : test::ways) {
    Comparison comparison(fmt::format("mha {}, {}", name, way.name), way.limit());
    ParameterStore params(1, way.dtype);
    const MultiHeadAttention layer(params.root() / name / "model", golden.count("embed_dim"),
                                   golden.count("num_heads"));
    assign_all(params, golden, name + ".model.");
    Tape tape(way.tape());
    const auto constant = [&](const char* tensor) {
      return tape.constant(golden.at(name + "." + tensor).to(way.dtype));
    };
    std::vector<Var> x;
    for (const std::string& input : inputs)
      x.push_back(tape.variable(golden.at(name + "." + input).to(way.dtype)));
    const AttentionResult result = layer(x.front(), x[x.size() / 2], x.back(), mask, {.need_weights = true});
    // Weights of every head are an output like any other: the loss depends on them too.
    const Var loss = sum(result.context * constant("dout")) + sum(result.weights * constant("dweights"));
    const Gradients g = tape.backward(loss, {.create_graph = way.create_graph});
    comparison.check("out", result.context.value(), golden.at(name + ".out"));
    comparison.check("weights", result.weights.value(), golden.at(name + ".weights"));
    comparison.check("loss", loss.value(), golden.at(name + ".loss"));
    for (std::size_t i = 0; i < x.size(); ++i)
      comparison.check("grad." + inputs[i], g[x[i]], golden.at(name + ".grad." + inputs[i]));
    for (const Parameter& p : params) {
      const std::string parameter = p.path().substr(name.size() + 1);
      comparison.check("grad." + parameter, g[p], golden.at(name + ".grad." + parameter));
    }
    BOOST_TEST(identical(layer(x.front(), x[x.size() / 2], x.back(), mask).value(), result.context.value()));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_transformer)

BOOST_AUTO_TEST_CASE(post_norm_relu_masked) { check_step("transformer_step_post_relu"); }
BOOST_AUTO_TEST_CASE(pre_norm_gelu_masked) { check_step("transformer_step_pre_gelu"); }
BOOST_AUTO_TEST_CASE(no_bias_other_eps_no_masks) { check_step("transformer_step_bare"); }

BOOST_AUTO_TEST_CASE(self_attention) { check_attention("self", {"x"}, Mask::none()); }
BOOST_AUTO_TEST_CASE(causal_self_attention) {
  // The file holds the causal mask in full; it must equal ours.
  const Tensor blocked = Golden("mha").at("self_causal.attn_mask");
  BOOST_TEST(identical(Mask::block(blocked).to_tensor(1, 1, 4, 4), Mask::causal().to_tensor(1, 1, 4, 4)));
  check_attention("self_causal", {"x"}, Mask::causal());
  check_attention("self_causal", {"x"}, Mask::block(blocked));
}
BOOST_AUTO_TEST_CASE(cross_attention) { check_attention("cross", {"query", "key", "value"}, Mask::none()); }

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
