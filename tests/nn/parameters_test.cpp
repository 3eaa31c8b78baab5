// Names, shapes and first values of parameters.
#include <tapegrad/nn/embedding.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

namespace tapegrad {
using namespace nn;
namespace {

constexpr TransformerOptions tiny(Index layers = 1, bool bias = true) {
  return {.d_model = 8,
          .nhead = 2,
          .num_encoder_layers = layers,
          .num_decoder_layers = layers,
          .dim_feedforward = 16,
          .bias = bias};
}

std::vector<std::string> listing(const ParameterStore& params) {
  std::vector<std::string> lines;
  for (const Parameter& p : params) lines.push_back(fmt::format("{} {}", p.path(), p.shape()));
  return lines;
}

double largest(const Tensor& x) {
  double most = 0;
  for (double v : x.to_vector()) most = std::max(most, std::abs(v));
  return most;
}

/// Values of a [40, 60] weight under `init`.
std::vector<double> drawn(const Initializer& init) {
  ParameterStore params(3, DType::f64);
  return params.root().parameter("weight", {40, 60}, init).value().to_vector();
}

double deviation(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (double v : values) {
    sum += v;
    squares += v * v;
  }
  const auto n = static_cast<double>(values.size());
  BOOST_TEST(std::abs(sum / n) < 4 * std::sqrt(squares / n / n));  // four standard errors
  return std::sqrt(squares / n);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parameters)

BOOST_AUTO_TEST_CASE(names_shapes_and_order_are_those_of_pytorch) {
  ParameterStore params;
  const Transformer model(params.root(), tiny());
  const std::vector<std::string> expected = {
      "encoder.layers.0.self_attn.in_proj_weight [24, 8]",
      "encoder.layers.0.self_attn.in_proj_bias [24]",
      "encoder.layers.0.self_attn.out_proj.weight [8, 8]",
      "encoder.layers.0.self_attn.out_proj.bias [8]",
      "encoder.layers.0.linear1.weight [16, 8]",
      "encoder.layers.0.linear1.bias [16]",
      "encoder.layers.0.linear2.weight [8, 16]",
      "encoder.layers.0.linear2.bias [8]",
      "encoder.layers.0.norm1.weight [8]",
      "encoder.layers.0.norm1.bias [8]",
      "encoder.layers.0.norm2.weight [8]",
      "encoder.layers.0.norm2.bias [8]",
      "encoder.norm.weight [8]",
      "encoder.norm.bias [8]",
      "decoder.layers.0.self_attn.in_proj_weight [24, 8]",
      "decoder.layers.0.self_attn.in_proj_bias [24]",
      "decoder.layers.0.self_attn.out_proj.weight [8, 8]",
      "decoder.layers.0.self_attn.out_proj.bias [8]",
      "decoder.layers.0.multihead_attn.in_proj_weight [24, 8]",
      "decoder.layers.0.multihead_attn.in_proj_bias [24]",
      "decoder.layers.0.multihead_attn.out_proj.weight [8, 8]",
      "decoder.layers.0.multihead_attn.out_proj.bias [8]",
      "decoder.layers.0.linear1.weight [16, 8]",
      "decoder.layers.0.linear1.bias [16]",
      "decoder.layers.0.linear2.weight [8, 16]",
      "decoder.layers.0.linear2.bias [8]",
      "decoder.layers.0.norm1.weight [8]",
      "decoder.layers.0.norm1.bias [8]",
      "decoder.layers.0.norm2.weight [8]",
      "decoder.layers.0.norm2.bias [8]",
      "decoder.layers.0.norm3.weight [8]",
      "decoder.layers.0.norm3.bias [8]",
      "decoder.norm.weight [8]",
      "decoder.norm.bias [8]",
  };
  BOOST_TEST(listing(params) == expected, boost::test_tools::per_element());
  BOOST_TEST(params.trainable_values() == 1536);
}

BOOST_AUTO_TEST_CASE(without_bias_only_weights_are_left) {
  ParameterStore with, without;
  const Transformer all(with.root(), tiny()), model(without.root(), tiny(1, false));
  std::vector<std::string> expected;
  for (const std::string& line : listing(with))
    if (line.find("bias") == std::string::npos) expected.push_back(line);
  BOOST_TEST(listing(without) == expected, boost::test_tools::per_element());
  BOOST_TEST(without.size() == 17u);
}

BOOST_AUTO_TEST_CASE(transformer_weights_start_within_their_bounds) {
  ParameterStore params(1, DType::f64);
  const Transformer model(params.root(), tiny());
  for (const Parameter& p : params) {
    const std::string& path = p.path();
    const auto in = static_cast<double>(p.shape()[-1]), out = static_cast<double>(p.shape()[0]);
    double bound = std::sqrt(6 / (in + out));
    if (path.ends_with("out_proj.weight")) bound = 1 / std::sqrt(in);
    if (path.ends_with("linear1.bias")) bound = 1 / std::sqrt(8.0);
    if (path.ends_with("linear2.bias")) bound = 1 / std::sqrt(16.0);
    if (path.ends_with("in_proj_bias") || path.ends_with("out_proj.bias")) bound = 0;
    if (path.find("norm") != std::string::npos) {
      const std::vector<double> all(8, path.ends_with("weight") ? 1 : 0);
      BOOST_TEST(p.value().to_vector() == all, boost::test_tools::per_element());
      continue;
    }
    BOOST_TEST(largest(p.value()) <= bound, path);
    BOOST_TEST(largest(p.value()) >= 0.7 * bound, path);
  }
}

BOOST_AUTO_TEST_CASE(layers_start_as_in_pytorch) {
  ParameterStore params(1, DType::f64);
  const Scope root = params.root();
  const Linear linear(root / "linear", 64, 48);
  const Embedding table(root / "table", 100, 32, {.padding_idx = 3});
  const MultiHeadAttention packed(root / "packed", 32, 4),
      apart(root / "apart", 32, 4, {.kdim = 16, .vdim = 96});
  const LayerNorm layer_norm(root / "layer_norm", 8);
  const RMSNorm rms_norm(root / "rms_norm", 8);
  const auto uniform_in = [&](const char* path, double bound) {
    const Tensor x = params.at(path).value();
    BOOST_TEST(largest(x) <= bound, path);
    BOOST_TEST(largest(x) >= 0.9 * bound, path);
    const double size = static_cast<double>(x.size());
    BOOST_TEST(std::abs(deviation(x.to_vector()) * std::sqrt(3.0) / bound - 1) < 3 / std::sqrt(size), path);
  };
  uniform_in("linear.weight", 1.0 / 8);
  uniform_in("linear.bias", 1.0 / 8);
  uniform_in("packed.in_proj_weight", std::sqrt(6.0 / (4 * 32)));  // of the matrix [3 d_model, d_model]
  uniform_in("packed.out_proj.weight", 1 / std::sqrt(32.0));
  uniform_in("apart.q_proj_weight", std::sqrt(6.0 / (32 + 32)));
  uniform_in("apart.k_proj_weight", std::sqrt(6.0 / (32 + 16)));
  uniform_in("apart.v_proj_weight", std::sqrt(6.0 / (32 + 96)));
  uniform_in("apart.out_proj.weight", 1 / std::sqrt(32.0));
  for (const char* path : {"packed.in_proj_bias", "packed.out_proj.bias", "apart.in_proj_bias",
                           "apart.out_proj.bias", "layer_norm.bias"})
    BOOST_TEST(largest(params.at(path).value()) == 0, path);
  for (const char* path : {"layer_norm.weight", "rms_norm.weight"})
    BOOST_TEST(params.at(path).value().to_vector() == std::vector<double>(8, 1),
               boost::test_tools::per_element());
  std::vector<double> rows = table.weight.value().to_vector();
  const auto padding = rows.begin() + 3 * 32;
  BOOST_TEST(std::vector<double>(padding, padding + 32) == std::vector<double>(32, 0),
             boost::test_tools::per_element());
  rows.erase(padding, padding + 32);
  BOOST_TEST(deviation(rows) == 1.0, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_CASE(every_layer_starts_with_values_of_its_own) {
  ParameterStore params(1, DType::f64);
  const Transformer model(params.root(), tiny(3));
  std::set<double> seen;
  for (const Parameter& p : params) {
    if (p.shape().rank() != 2) continue;
    for (double v : p.value().to_vector()) BOOST_TEST(seen.insert(v).second, p.path());
  }
  BOOST_TEST(seen.size() == 3u * (3 * 256 + 4 * 128));
}

BOOST_AUTO_TEST_CASE(values_follow_from_seed_and_path_alone) {
  ParameterStore first(5), second(5), other(6);
  const Transformer a(first.root() / "model", tiny(2));
  const Linear unrelated(second.root() / "unrelated", 3, 3);
  const Transformer wider(second.root() / "wider", tiny(4)), b(second.root() / "model", tiny(2)),
      c(other.root() / "model", tiny(2));
  int differ = 0;
  for (const Parameter& p : first) {
    BOOST_TEST(identical(p.value(), second.at(p.path()).value()), p.path());
    differ += !identical(p.value(), other.at(p.path()).value());
  }
  BOOST_TEST(differ == 28);  // 20 matrices and 8 biases of linear1 and linear2
}

BOOST_AUTO_TEST_CASE(
    golden_values) {  // computed with integers and plain double arithmetic in another language
  ParameterStore params(7, DType::f64);
  const Linear in(params.root() / "model" / "in", 4, 3);
  const std::vector<double> weight = in.weight.value().to_vector(), bias = in.bias.value().to_vector();
  BOOST_TEST(weight[0] == 0.019468984800751543);
  BOOST_TEST(weight[1] == -0.45753748955673745);
  BOOST_TEST(weight[2] == -0.3562839722983182);
  BOOST_TEST(bias[0] == 0.21470586374978107);
  BOOST_TEST(bias[2] == 0.15216188131182584);
  const Parameter table = (params.root() / "model" / "emb").parameter("weight", {5, 4}, normal());
  BOOST_TEST(table.value().to_vector()[0] == -0.41502194295456046);
  BOOST_TEST(table.value().to_vector()[1] == -0.6512977710644545);
  BOOST_TEST(table.value().to_vector()[2] == -1.3715851650872015);
  const Transformer transformer(params.root() / "model" / "transformer", tiny());
  const Tensor x = params.at("model.transformer.encoder.layers.0.self_attn.in_proj_weight").value();
  BOOST_TEST(x.at({0, 0}) == -0.3174950385946365);
  BOOST_TEST(x.at({0, 1}) == -0.03138252067158026);
  BOOST_TEST(x.at({0, 2}) == 0.18652411855283746);
}

BOOST_AUTO_TEST_CASE(initialisers_have_their_spread) {
  const auto close = boost::test_tools::tolerance(0.05);
  const double root3 = std::sqrt(3.0);
  BOOST_TEST(deviation(drawn(uniform(-3, 3))) == root3, close);
  BOOST_TEST(deviation(drawn(normal(0, 2))) == 2.0, close);
  BOOST_TEST(deviation(drawn(xavier_uniform(2))) == 2 * std::sqrt(2.0 / 100), close);
  BOOST_TEST(deviation(drawn(xavier_normal())) == std::sqrt(2.0 / 100), close);
  BOOST_TEST(deviation(drawn(kaiming_uniform())) == std::sqrt(2.0 / 60), close);
  BOOST_TEST(deviation(drawn(kaiming_normal())) == std::sqrt(2.0 / 60), close);
  BOOST_TEST(deviation(drawn(fan_in_uniform(60))) == 1 / std::sqrt(180.0), close);
  BOOST_TEST(drawn(constant(1.5)) == std::vector<double>(2400, 1.5), boost::test_tools::per_element());
  const std::vector<double> holed = drawn(with_zero_row(ones, 1));
  BOOST_TEST(holed[59] == 1);
  BOOST_TEST(holed[60] == 0);
  BOOST_TEST(holed[119] == 0);
  BOOST_TEST(holed[120] == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
