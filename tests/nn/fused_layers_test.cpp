// Layers that are recorded as one op have the bits of their separate ops, and hooks receive the values of the
// layers.
#include <tapegrad/nn/seq2seq.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <string>
#include <vector>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

struct Case {
  bool norm_first;
  Activation activation;
  Positions positions;
  double dropout;
};

/// The loss and every gradient of one training step.
std::vector<Tensor> step(const Seq2Seq& model, const ParameterStore& params, Tape& tape) {
  tape.reset(7);
  const Seq2SeqBatch batch = make_batch(std::vector<std::vector<Index>>{{4, 5, 6}, {7, 3}},
                                        std::vector<std::vector<Index>>{{3, 4}, {5, 6, 7, 4}}, 1, 2);
  const Var loss = model.loss_sum(tape, batch, 0.1);
  std::vector<Tensor> results = {loss.value().clone()};
  const Gradients g = tape.backward(loss, {.consume = true});
  for (const Parameter& p : params) results.push_back(g[p].clone());
  return results;
}

Seq2SeqOptions options(const Case& c) {
  return {.source_vocabulary = 9,
          .target_vocabulary = 8,
          .transformer = {.d_model = 12,
                          .nhead = 2,
                          .num_encoder_layers = 2,
                          .num_decoder_layers = 2,
                          .dim_feedforward = 20,
                          .dropout = c.dropout,
                          .activation = c.activation,
                          .norm_first = c.norm_first},
          .positions = c.positions,
          .max_length = 6};
}

const Case cases[] = {{false, Activation::relu, Positions::sinusoidal, 0},
                      {true, Activation::gelu, Positions::learned, 0.2},
                      {false, Activation::gelu, Positions::sinusoidal, 0.2},
                      {true, Activation::relu, Positions::learned, 0}};

}  // namespace

BOOST_AUTO_TEST_SUITE(fused_layers)

BOOST_AUTO_TEST_CASE(a_hook_changes_no_bit_and_sees_the_layers_own_results) {
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::f64}) {
      ParameterStore params(3, dtype);
      const Seq2Seq model(params.root(), options(c));
      Tape tape({.dtype = dtype, .training = true, .seed = 5});
      const std::vector<Tensor> plain = step(model, params, tape);
      const std::size_t nodes = tape.size();
      std::map<std::string, Tensor> seen;
      tape.observers().on_value("*", [&](const std::string& path, const Var& y) {
        if (path != "positions") BOOST_TEST(!seen.contains(path), path << " ran twice");
        seen[path] = y.value().clone();
      });
      const std::vector<Tensor> hooked = step(model, params, tape);
      BOOST_TEST(tape.size() > nodes);  // one by one
      BOOST_REQUIRE(plain.size() == hooked.size());
      for (std::size_t i = 0; i < plain.size(); ++i) BOOST_TEST(identical(plain[i], hooked[i]));

      const std::string layer = "transformer.encoder.layers.1.";
      const Tensor &hidden = seen.at(layer + "linear1"), &normed = seen.at(layer + "norm2");
      BOOST_TEST(hidden.shape() == (Shape{2, 3, 20}));
      bool negative = false;
      for (const double v : hidden.to_vector()) negative |= v < -0.2;  // before the activation
      BOOST_TEST(negative);
      BOOST_TEST(normed.shape() == (Shape{2, 3, 12}));
      BOOST_TEST(seen.contains("transformer.decoder.layers.0.norm3"));
      BOOST_TEST(seen.at("tgt_emb").shape() == (Shape{2, 5, 12}));
      BOOST_TEST(seen.at("tgt_emb").at({0, 3, 0}) == 0);  // the padding row, before positions
      BOOST_TEST(seen.contains(c.positions == Positions::learned ? "tgt_pos" : "positions"));
    }
}

BOOST_AUTO_TEST_CASE(definitions_agree) {
  for (const Case& c : cases) {
    ParameterStore params(3, DType::f64);
    const Seq2Seq model(params.root(), options(c));
    Tape fused({.dtype = DType::f64, .training = true, .seed = 5}),
        plain({.dtype = DType::f64, .training = true, .fused = false, .seed = 5});
    const std::vector<Tensor> one = step(model, params, fused), other = step(model, params, plain);
    for (std::size_t i = 0; i < one.size(); ++i) {
      const std::vector<double> a = one[i].to_vector(), b = other[i].to_vector();
      for (std::size_t k = 0; k < a.size(); ++k)
        BOOST_TEST(std::abs(a[k] - b[k]) <= 1e-11 * std::max(1.0, std::abs(a[k])));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
