// The derivative of attention written in ops, against the kernel's and the tape's.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention/backward_equation.h>
#include <tapegrad/autograd/ops/reduce.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

namespace tapegrad {
namespace {

struct Case {
  const char* label;
  Index batch, heads, query, key, dim, value_dim;
  AttentionOptions options = {};
  Shape bias = {};  // rank 0: none
};

std::vector<Case> cases() {
  Tensor keep({2, 2, 3, 4}, DType::boolean);
  for (Index i = 0; i < keep.size(); ++i) keep.data<std::uint8_t>()[i] = i % 3 != 0;
  const Mask gaps = Mask::keep(keep), causal = Mask::causal(),
             lengths = Mask::from_lengths(Tensor::ids({2, 0}));
  return {{"plain", 2, 2, 3, 4, 3, 3},
          {"a scale, wide values", 1, 2, 3, 4, 2, 5, {.scale = 0.3}},
          {"causal", 2, 2, 4, 4, 3, 3, {.mask = causal}},
          {"causal and lengths, a sentence without words", 2, 2, 4, 4, 3, 3, {.mask = causal & lengths}},
          {"keys left out, bias", 2, 2, 3, 4, 3, 3, {.mask = gaps}, {2, 1, 4}},
          {"bias of each pair", 2, 2, 3, 4, 3, 3, {}, {2, 2, 3, 4}},
          {"dropout", 2, 2, 3, 4, 3, 3, {.dropout = 0.4}},
          {"all dropped", 1, 1, 3, 3, 2, 2, {.dropout = 1}},
          {"keys left out, bias, dropout", 2, 2, 3, 4, 3, 3, {.mask = gaps, .dropout = 0.4}, {3, 4}},
          {"in lanes, dropout", 2, 2, 19, 21, 3, 2, {.mask = lengths, .dropout = 0.2}},
          {"in tiles, causal, dropout", 1, 2, 150, 150, 3, 2, {.mask = causal, .dropout = 0.2}}};
}

/// The inputs of a case on a tape of its own, each a variable, and the cotangent of the context.
struct Inputs {
  Tape tape{{.dtype = DType::f64, .training = true, .seed = 9}};
  Var query, key, value, bias, dcontext;
  AttentionOptions options;

  explicit Inputs(const Case& c) : options(c.options) {
    const auto make = [&](Index time, Index dim, std::uint64_t label) {
      return tape.variable(sample_values({c.batch, c.heads, time, dim}, -1.5, 1.5, label));
    };
    query = make(c.query, c.dim, 1), key = make(c.key, c.dim, 2), value = make(c.key, c.value_dim, 3);
    if (c.bias.rank() > 0) bias = tape.variable(sample_values(c.bias, -1, 1, 4));
    options.bias = bias;
    dcontext = tape.constant(sample_values({c.batch, c.heads, c.query, c.value_dim}, -1, 1, 5));
  }
};

void check_same(const char* name, const Tensor& ours, const Tensor& expected) {
  BOOST_REQUIRE(ours.shape() == expected.shape());
  double size = 1, difference = 0;
  const auto a = ours.to_vector(), b = expected.to_vector();
  for (std::size_t i = 0; i < a.size(); ++i) {
    size = std::max(size, std::abs(b[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  BOOST_TEST(difference <= 1e-12 * size, name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(backward_equation)

BOOST_AUTO_TEST_CASE(equals_the_gradients_of_the_kernel) {
  for (const Case& c : cases()) BOOST_TEST_CONTEXT(c.label) {
      Inputs fused(c), equation(c);
      const Var context = attention(fused.query, fused.key, fused.value, fused.options);
      const Gradients g = fused.tape.backward(sum(context * fused.dcontext));
      const AttentionSteps forward =
          attention_equation(equation.query, equation.key, equation.value, equation.options);
      const AttentionGradients ours = attention_backward_equation(forward, equation.dcontext);
      check_same("context", forward.context.value(), context.value());
      check_same("query", ours.query.value(), g[fused.query]);
      check_same("key", ours.key.value(), g[fused.key]);
      check_same("value", ours.value.value(), g[fused.value]);
      BOOST_TEST(static_cast<bool>(ours.bias) == static_cast<bool>(fused.bias));
      if (fused.bias) check_same("bias", ours.bias.value(), g[fused.bias]);
    }
}

BOOST_AUTO_TEST_CASE(equals_the_gradients_of_the_tape_step_by_step) {
  for (const Case& c : cases()) BOOST_TEST_CONTEXT(c.label) {
      Inputs in(c);
      const AttentionSteps forward = attention_equation(in.query, in.key, in.value, in.options);
      const AttentionGradients ours = attention_backward_equation(forward, in.dcontext);
      const Gradients g = in.tape.backward(sum(forward.context * in.dcontext));
      check_same("dropped", ours.dropped.value(), g[forward.dropped]);
      check_same("weights", ours.weights.value(), g[forward.weights]);
      check_same("scores", ours.scores.value(), g[forward.scores]);
      check_same("query", ours.query.value(), g[in.query]);
      check_same("key", ours.key.value(), g[in.key]);
      check_same("value", ours.value.value(), g[in.value]);
      if (in.bias) check_same("bias", ours.bias.value(), g[in.bias]);
    }
}

/// The weights of a query sum to 1 whatever the scores are, so scores that all rise alike change nothing.
BOOST_AUTO_TEST_CASE(gradients_of_the_scores_of_a_query_sum_to_0) {
  for (const Case& c : cases()) BOOST_TEST_CONTEXT(c.label) {
      Inputs in(c);
      const AttentionSteps forward = attention_equation(in.query, in.key, in.value, in.options);
      for (const double x :
           sum(attention_backward_equation(forward, in.dcontext).scores, -1).value().to_vector())
        BOOST_TEST(std::abs(x) < 1e-13);
    }
}

BOOST_AUTO_TEST_CASE(the_layout_of_the_equation_has_an_axis_for_heads) {
  Tape tape;
  const Var x = tape.full({2, 3, 4}, 1);
  BOOST_CHECK_THROW(attention_equation(x, x, x, {.layout = PackedHeads{2}}), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
