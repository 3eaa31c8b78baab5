// Gradient hooks on the layers of a Transformer: none is skipped because an op does the work of several.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/small_seq2seq.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>

namespace tapegrad {
using namespace nn;
namespace {

struct Run {
  ParameterStore params{5, DType::f64};
  Transformer model;
  Tape tape;
  Var source, target;

  explicit Run(bool norm_first, bool training = false)
      : model(params.root(), {.d_model = 8,
                              .nhead = 2,
                              .num_encoder_layers = 1,
                              .num_decoder_layers = 1,
                              .dim_feedforward = 6,
                              .dropout = 0.2,
                              .norm_first = norm_first}),
        tape({.dtype = DType::f64, .training = training, .seed = 2}) {
    test::shake(params);
    source = tape.variable(sample_values({2, 4, 8}, -1, 1, 1));
    target = tape.variable(sample_values({2, 3, 8}, -1, 1, 2));
  }
  Var loss() { return mean(square(model(source, target, TransformerMasks{.target = Mask::causal()}))); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gradient_hooks_of_layers)

BOOST_AUTO_TEST_CASE(every_layer_is_seen) {
  for (const bool norm_first : {false, true})
    for (const bool training : {false, true}) {
      std::multiset<std::string> ran, seen;
      Run plain(norm_first, training);
      plain.tape.observers().on_value("*", [&](const std::string& path, const Var&) { ran.insert(path); });
      plain.loss();

      Run watched(norm_first, training);
      std::vector<std::pair<Var, Tensor>> gradients;
      watched.tape.observers().on_gradient(
          "*", [&](const std::string& path, const Var& x, const Tensor& gradient) {
            seen.insert(path);
            gradients.emplace_back(x, gradient.clone());
          });
      const Gradients g = watched.tape.backward(watched.loss());
      BOOST_TEST(seen == ran, boost::test_tools::per_element());
      BOOST_TEST(seen.count("decoder.layers.0.norm2") == 1);
      BOOST_TEST(seen.count("encoder.layers.0.self_attn") == 1);
      for (const auto& [x, gradient] : gradients) BOOST_TEST(identical(gradient, g[x]));
    }
}

BOOST_AUTO_TEST_CASE(looking_changes_no_gradient) {
  for (const bool norm_first : {false, true}) {
    Run plain(norm_first, true), watched(norm_first, true);
    watched.tape.observers().on_gradient("*", [](const std::string&, const Var&, const Tensor&) {});
    const Var a = plain.loss(), b = watched.loss();
    BOOST_TEST(a.item() == b.item());
    const Gradients ga = plain.tape.backward(a), gb = watched.tape.backward(b);
    for (const Parameter& p : watched.params)
      BOOST_TEST(test::difference({gb[p]},
                                  {ga[*std::find_if(plain.params.begin(), plain.params.end(),
                                                    [&](auto& q) { return q.path() == p.path(); })]}) < 1e-11,
                 p.path());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
