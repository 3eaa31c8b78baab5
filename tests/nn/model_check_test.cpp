// Gradients of the whole encoder-decoder: against finite differences, and kernels against definitions.
#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/kernels/kernel.h>
#include <tapegrad/autograd/ops.h>

#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
namespace {

using test::difference;
using test::shake;
using test::small_options;

constexpr Index per_parameter = 4;  // elements checked of each

void check(const GradcheckResult& r, std::size_t parameters) {
  BOOST_TEST(r.ok, r.message);
  BOOST_TEST(r.checked >= per_parameter * static_cast<Index>(parameters));
  BOOST_TEST_MESSAGE(r.message);
}

void check_transformer(bool norm_first) {
  TransformerOptions options = small_options().transformer;
  options.norm_first = norm_first;
  ParameterStore params(5, DType::f64);
  const Transformer model(params.root(), options);
  shake(params);
  const Mask source = Mask::from_lengths(Tensor::ids({4, 2}));
  const TransformerMasks masks = {
      .source = source, .target = Mask::causal() & Mask::from_lengths(Tensor::ids({3, 2})), .memory = source};
  const auto f = [&](const std::vector<Var>& in) { return model(in[0], in[1], masks); };
  const std::vector<Tensor> inputs = {sample_values({2, 4, 8}, -2, 2, 1), sample_values({2, 3, 8}, -2, 2, 2)};
  for (const bool fused : {true, false})
    check(gradcheck(f, inputs, params,
                    {.label = fmt::format("Transformer, norm_first {}, fused {}", norm_first, fused),
                     .tolerance = 1e-7,
                     .elements = fused ? per_parameter : 1,
                     .fused = fused}),
          fused ? params.size() : 0);
}

void check_seq2seq(const Seq2SeqOptions& options, const char* label) {
  ParameterStore params(6, DType::f64);
  const Seq2Seq model(params.root(), options);
  shake(params);
  const Seq2SeqBatch batch = test::shards_of(3, 2, 5, 1, 40)[0];
  const auto f = [&](const std::vector<Var>& in) {
    return in[0] * model.loss_sum(in[0].tape(), batch, 0.1) / static_cast<double>(batch.targets);
  };
  check(gradcheck(f, {sample_values({}, 0.5, 1.5)}, params,
                  {.label = label, .tolerance = 1e-7, .elements = per_parameter, .training = true}),
        params.size());
}

/// Loss and the gradients of all parameters, in creation order.
std::vector<Tensor> outcome(const Seq2Seq& model, const ParameterStore& params, const Seq2SeqBatch& batch,
                            bool fused) {
  Tape tape({.dtype = params.dtype(), .training = true, .fused = fused, .seed = 9});
  const Var loss = model.loss_sum(tape, batch, 0.1);
  const Gradients g = tape.backward(loss);
  std::vector<Tensor> all = {loss.value().clone()};
  for (const Parameter& p : params) all.push_back(g[p].clone());
  return all;
}

/// Over several points. In f32, rounding grows at points where a row under a layer norm is nearly constant,
/// for kernels and definitions alike (2.4e-6 of the largest gradient at seed 7); these points are none.
void check_definitions(DType dtype, double limit) {
  double most = 0;
  for (const std::uint64_t seed : {1, 2, 3})
    for (const bool norm_first : {false, true}) {
      Seq2SeqOptions options = small_options(0.2);
      options.transformer.norm_first = norm_first;
      options.positions = norm_first ? Positions::learned : Positions::sinusoidal;
      options.tie_embeddings = norm_first;
      ParameterStore params(seed, dtype);
      const Seq2Seq model(params.root(), options);
      shake(params);
      const Seq2SeqBatch batch = test::shards_of(4, 1, 7, 1, 50)[0];
      std::vector<Tensor> kernels = outcome(model, params, batch, true);
      std::vector<Tensor> definitions = outcome(model, params, batch, false);
      const double loss = definitions[0].item();
      BOOST_TEST(std::abs(kernels[0].item() - loss) <= limit * loss);
      kernels.erase(kernels.begin());
      definitions.erase(definitions.begin());
      most = std::max(most, difference(kernels, definitions));
    }
  BOOST_TEST(most <= limit);
  BOOST_TEST_MESSAGE(fmt::format("{}: kernels and definitions differ by {:.2g}", dtype_name(dtype), most));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(model_check)

BOOST_AUTO_TEST_CASE(gradients_of_a_post_norm_transformer) { check_transformer(false); }
BOOST_AUTO_TEST_CASE(gradients_of_a_pre_norm_transformer) { check_transformer(true); }

BOOST_AUTO_TEST_CASE(gradients_from_tokens_to_loss) {
  check_seq2seq(small_options(), "Seq2Seq");
  check_seq2seq(small_options(0.2), "Seq2Seq with dropout");
}

BOOST_AUTO_TEST_CASE(gradients_of_tied_embeddings_and_learned_positions) {
  Seq2SeqOptions options = small_options();
  options.tie_embeddings = true;
  options.positions = Positions::learned;
  check_seq2seq(options, "tied Seq2Seq");
}

BOOST_AUTO_TEST_CASE(kernels_equal_definitions_with_dropout_f64) { check_definitions(DType::f64, 1e-12); }
BOOST_AUTO_TEST_CASE(kernels_equal_definitions_with_dropout_f32) {
  // Without fused multiply-adds every term is rounded twice.
  const bool generic = kernels::active_isa() == kernels::Isa::generic;
  check_definitions(DType::f32, generic ? 2e-6 : 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
