#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/inspect/replay/numerical_gradient.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/seq2seq.h>

#include <cmath>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <tests/support/small_seq2seq.h>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;

constexpr TapeOptions f64{.dtype = DType::f64};

/// max |numerical - analytic| / max(|numerical|, |analytic|, 1e-3)
double worst(const Var& loss, const Gradients& g, const Var& x) {
  const std::vector<double> numerical = numerical_gradient(loss, x).to_vector(), analytic = g[x].to_vector();
  double most = 0;
  for (std::size_t i = 0; i < numerical.size(); ++i) {
    const double size = std::max({std::abs(numerical[i]), std::abs(analytic.at(i)), 1e-3});
    most = std::max(most, std::abs(numerical[i] - analytic[i]) / size);
  }
  return most;
}

BOOST_AUTO_TEST_SUITE(numerical_gradients)

BOOST_AUTO_TEST_CASE(follows_the_formula) {
  Tape tape(f64);
  const Var x = tape.variable({0.5, -2, 30}), y = exp(affine(x, 0.01)), loss = sum(y * x);
  const std::vector<double> at_x = numerical_gradient(loss, x).to_vector(),
                            at_y = numerical_gradient(loss, y).to_vector();
  for (std::size_t i = 0; i < 3; ++i) {
    const double v = x.value().to_vector()[i];
    BOOST_TEST(at_x[i] == std::exp(0.01 * v) * (1 + 0.01 * v), boost::test_tools::tolerance(1e-8));
    BOOST_TEST(at_y[i] == v, boost::test_tools::tolerance(1e-8));  // the op of y does not run
  }
  const Index some[] = {2, 0};
  BOOST_TEST(numerical_gradient(loss, x, some).values == (std::vector{at_x[2], at_x[0]}));
  const Var large = tape.variable({1e6}), root = sum(sqrt(large));  // the step is as large
  BOOST_TEST(numerical_gradient(root, large).item() == 5e-4, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(numerical_gradient(loss, loss).item() == 1, boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_CASE(finds_kinks) {
  Tape tape(f64);
  const Var x = tape.variable({0, 3e-7, 3e-5, -2e-5, 1, -1}), loss = sum(relu(x)) + 0.5 * sum(x * x * x);
  const Index all[] = {0, 1, 2, 3, 4, 5};
  const NumericalGradient n = numerical_gradient(loss, x, all);
  BOOST_TEST(n.kink == (std::vector<bool>{true, true, false, false, false, false}));
  const double expected[] = {0, 0, 1, 0, 2.5, 1.5};
  for (std::size_t i = 2; i < 6; ++i) BOOST_TEST(std::abs(n.values[i] - expected[i]) < 1e-6);
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_no_derivative) {
  Tape tape(f64);
  const Var x = tape.variable({2e-4}), loss = sum(log(x) * x);
  const Index first[] = {0};
  const NumericalGradient n = numerical_gradient(loss, x, first);  // finite with smaller steps
  BOOST_TEST(!n.kink[0]);
  BOOST_TEST(n.values[0] == std::log(2e-4) + 1, boost::test_tools::tolerance(1e-6));
  const Var zero = tape.variable({0}), infinite = sum(log(zero));
  BOOST_TEST(numerical_gradient(infinite, zero, first).kink[0]);
}

BOOST_AUTO_TEST_CASE(values_beside_the_way_and_odd_shapes) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), beside = exp(x), none = tape.variable(Tensor({2, 0}, DType::f64)),
            s = tape.variable(Tensor::full({}, 3, DType::f64)), loss = sum(x * s) + sum(none),
            later = x + loss;
  test::check_values(numerical_gradient(loss, beside), {2}, {0, 0});
  test::check_values(numerical_gradient(loss, later), {2}, {0, 0});
  test::check_values(numerical_gradient(loss, none), {2, 0}, {});
  const Tensor scalar = numerical_gradient(loss, s);
  BOOST_TEST((scalar.shape() == Shape{}));
  BOOST_TEST(scalar.item() == 3, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(error_of([&] { numerical_gradient(x, s); }) ==
             "numerical_gradient: the loss must have one element, got shape [2]");
  const Index wrong[] = {2};
  BOOST_TEST(error_of([&] { numerical_gradient(loss, x, wrong); }) ==
             "numerical_gradient: element 2 of a value of shape [2]");
  BOOST_TEST(error_of([&] { numerical_gradient(Var(), x); }) ==
             "numerical_gradient: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_CASE(at_the_weights_of_attention) {
  Tape tape({.dtype = DType::f64, .show_parts = true});
  const auto input = [&](std::uint64_t key) { return tape.variable(sample_values({2, 3, 4}, -2, 2, key)); };
  const Var q = input(1), k = input(2), v = input(3);
  const AttentionResult r =
      attention_with_weights(q, k, v, {.mask = Mask::causal(), .layout = PackedHeads{2}, .scores = true});
  const Var loss = sum(tanh(r.context) * tape.constant(sample_values({2, 3, 4}, -2, 2, 4)));
  const Gradients g = tape.backward(loss);
  for (const Var& x : {r.weights, r.context, q, k, v}) BOOST_TEST(worst(loss, g, x) < 1e-6);
}

/// dloss/dx of every value of a whole small model, parameters and intermediate results alike.
BOOST_AUTO_TEST_CASE(at_every_value_of_a_transformer) {
  const Seq2SeqOptions options{.source_vocabulary = 11,
                               .target_vocabulary = 13,
                               .transformer = {.d_model = 4,
                                               .nhead = 2,
                                               .num_encoder_layers = 1,
                                               .num_decoder_layers = 1,
                                               .dim_feedforward = 6,
                                               .dropout = 0.1,
                                               .activation = Activation::gelu},
                               .max_length = 8};
  const Seq2SeqBatch batch = test::shards_of(2, 2, 3, 1, 5).front();
  for (const DType dtype : {DType::f64, DType::f32}) {
    ParameterStore params(3, dtype);
    const Seq2Seq model(params.root(), options);
    test::shake(params);
    Tape tape({.dtype = dtype, .training = true, .show_parts = true, .seed = 2});
    const Var loss = model.loss_sum(tape, batch, 0.1);
    const Gradients g = tape.backward(loss);
    std::size_t checked = 0, weights = 0;
    for (std::uint32_t i = 0; i < tape.size(); ++i) {
      const Node& n = tape.node(i);
      const Var x = tape.handle(i);
      if ((n.op != nullptr && n.op->outputs() > 1) || !g.contains(x)) continue;
      const double error = worst(loss, g, x), allowed = dtype == DType::f64 ? 1e-6 : 1e-3;
      BOOST_TEST(error < allowed,
                 fmt::format("{} {} {}: {}", n.op != nullptr ? n.op->name() : "leaf",
                             n.parameter != nullptr ? n.parameter->path() : *n.path, x.shape(), error));
      ++checked;
      weights += n.op != nullptr && n.op->name() == std::string("masked_softmax");
    }
    BOOST_TEST(checked > 80U);
    BOOST_TEST(weights == 3U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad
