// Second derivatives of attention and of the layers above it, against finite differences of the first ones:
// with respect to inputs and parameters, under every kind of mask. gelu, as relu bends nowhere but at its
// kinks.
#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/small_seq2seq.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
namespace {

/// Mask of [batch 2, heads, query, key 3 (or 4)].
struct Masked {
  const char* name;
  Mask mask;
};
std::vector<Masked> masks(const Tensor& lengths) {
  const Mask padding = Mask::from_lengths(lengths);
  return {{"no mask", {}},
          {"causal", Mask::causal()},
          {"padding", padding},
          {"causal and padding", Mask::causal() & padding}};
}

Tensor values(const Shape& shape, std::uint64_t key) { return sample_values(shape, -1, 1, key); }

void expect(const GradcheckResult& r, Index at_least) {
  BOOST_TEST(r.ok, r.message);
  BOOST_TEST(r.checked >= at_least);
  BOOST_TEST_MESSAGE(r.message);
}

/// With respect to `elements` of each input, of the cotangent and of each parameter.
void check(const std::string& label, const CheckedFunction& f, const std::vector<Tensor>& inputs,
           ParameterStore& params, Index elements, bool training = false) {
  Index at_least = 0;
  for (const Tensor& x : inputs) at_least += std::min(elements, x.size());
  for (const Parameter& p : params) at_least += std::min(elements, p.shape().size());
  expect(gradgradcheck(f, inputs, params,
                       {.label = label, .tolerance = 1e-7, .elements = elements, .training = training}),
         at_least);
}

TransformerOptions tiny(bool norm_first, Activation activation, double dropout = 0) {
  return {.d_model = 4,
          .nhead = 2,
          .num_encoder_layers = 1,
          .num_decoder_layers = 1,
          .dim_feedforward = 3,
          .dropout = dropout,
          .activation = activation,
          .norm_first = norm_first};
}

/// Both places of the norms, both activations.
template <class Body>
void for_layers(const Body& body) {
  for (const bool norm_first : {false, true})
    for (const Activation activation : {Activation::gelu, Activation::relu})
      for (const Masked& m : masks(Tensor::ids({3, 2})))
        body(tiny(norm_first, activation), m.mask,
             fmt::format("{}, {}, {}", norm_first ? "norm_first" : "post-norm",
                         activation == Activation::gelu ? "gelu" : "relu", m.name));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(double_backward)

BOOST_AUTO_TEST_CASE(scaled_dot_product_attention) {
  for (const Masked& m : masks(Tensor::ids({3, 0}))) {  // the second example has no key at all
    const auto f = [&](const std::vector<Var>& in) {
      return attention(in[0], in[1], in[2], {.mask = m.mask});
    };
    expect(gradgradcheck(f, {values({2, 1, 3, 2}, 1), values({2, 1, 3, 2}, 2), values({2, 1, 3, 2}, 3)},
                         {.label = m.name, .tolerance = 1e-7}),
           4 * 12);
    const auto with_weights = [&](const std::vector<Var>& in) {
      const AttentionResult r =
          attention_with_weights(in[0], in[1], in[2], {.mask = m.mask, .layout = PackedHeads{2}});
      return concat({r.context, reshape(r.weights, {2, 3, 6})}, -1);
    };
    expect(gradgradcheck(with_weights, {values({2, 3, 4}, 1), values({2, 3, 4}, 2), values({2, 3, 4}, 3)},
                         {.label = fmt::format("with weights, {}", m.name), .tolerance = 1e-7}),
           3 * 24 + 2 * 3 * 10);
  }
}

BOOST_AUTO_TEST_CASE(multi_head_attention) {
  for (const Masked& m : masks(Tensor::ids({3, 2}))) {
    ParameterStore params(3, DType::f64);
    const MultiHeadAttention layer(params.root() / "mha", 4, 2);
    test::shake(params);
    check(
        fmt::format("three inputs, {}", m.name),
        [&](const std::vector<Var>& in) { return layer(in[0], in[1], in[2], m.mask); },
        {values({2, 3, 4}, 1), values({2, 3, 4}, 2), values({2, 3, 4}, 3)}, params, 16);
    check(
        fmt::format("one input, {}", m.name),
        [&](const std::vector<Var>& in) { return layer(in[0], in[0], in[0], m.mask); },
        {values({2, 3, 4}, 1)}, params, 16);
    check(
        fmt::format("memory, {}", m.name),
        [&](const std::vector<Var>& in) { return layer(in[0], in[1], in[1], m.mask); },
        {values({2, 2, 4}, 1), values({2, 3, 4}, 2)}, params, 16);
  }
}

BOOST_AUTO_TEST_CASE(other_scores) {
  for (const Score score : {Score::dot, Score::cosine, Score::negative_distance}) {
    ParameterStore params(3, DType::f64);
    const MultiHeadAttention layer(params.root() / "mha", 4, 2, {.score = score});
    test::shake(params);
    check(
        fmt::format("score {}", static_cast<int>(score)),
        [&](const std::vector<Var>& in) { return layer(in[0], in[1], in[1], Mask::causal(1)); },
        {values({1, 2, 4}, 1), values({1, 3, 4}, 2)}, params, 3);
  }
}

BOOST_AUTO_TEST_CASE(encoder_layer) {
  for_layers([](const TransformerOptions& options, const Mask& mask, const std::string& label) {
    ParameterStore params(4, DType::f64);
    const EncoderLayer layer(params.root() / "layer", options);
    test::shake(params);
    check(
        "encoder layer, " + label, [&](const std::vector<Var>& in) { return layer(in[0], mask); },
        {values({2, 3, 4}, 1)}, params, 8);
  });
}

BOOST_AUTO_TEST_CASE(decoder_layer) {
  for_layers([](const TransformerOptions& options, const Mask& mask, const std::string& label) {
    ParameterStore params(5, DType::f64);
    const DecoderLayer layer(params.root() / "layer", options);
    test::shake(params);
    const Mask memory = Mask::from_lengths(Tensor::ids({2, 1}));
    check(
        "decoder layer, " + label,
        [&](const std::vector<Var>& in) { return layer(in[0], in[1], mask, mask.empty() ? Mask() : memory); },
        {values({2, 3, 4}, 1), values({2, 2, 4}, 2)}, params, 5);
  });
}

BOOST_AUTO_TEST_CASE(transformer_under_cross_entropy) {
  for_layers([](const TransformerOptions& options, const Mask& mask, const std::string& label) {
    ParameterStore params(6, DType::f64);
    const Transformer model(params.root() / "model", options);
    const Linear head(params.root() / "head", 4, 5);
    test::shake(params);
    const Mask source = mask.empty() ? Mask() : Mask::from_lengths(Tensor::ids({2, 1}));
    const Tensor targets = Tensor::ids({{1, 4, 2}, {3, 0, 0}});
    check(
        "Transformer, " + label,
        [&](const std::vector<Var>& in) {
          const Var out =
              model(in[0], in[1], TransformerMasks{.source = source, .target = mask, .memory = source});
          return cross_entropy(head(out), targets, {.ignore_index = 0, .label_smoothing = 0.1});
        },
        {values({2, 2, 4}, 1), values({2, 3, 4}, 2)}, params, 3);
  });
}

BOOST_AUTO_TEST_CASE(dropout_draws_the_same_numbers_in_every_pass) {
  for (const bool checkpointed : {false, true}) {
    ParameterStore params(7, DType::f64);
    TransformerOptions options = tiny(false, Activation::gelu, 0.3);
    options.checkpoint = checkpointed;
    const Transformer model(params.root(), options);
    test::shake(params);
    check(
        checkpointed ? "Transformer with dropout and checkpoints" : "Transformer with dropout",
        [&](const std::vector<Var>& in) {
          return model(in[0], in[1], TransformerMasks{.target = Mask::causal()});
        },
        {values({2, 2, 4}, 1), values({2, 3, 4}, 2)}, params, 2, true);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
