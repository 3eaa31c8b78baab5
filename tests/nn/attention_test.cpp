// The four scores, heads, and weights as a second output.
#include <tapegrad/nn/attention.h>

#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;

constexpr Score scores[] = {Score::scaled_dot, Score::dot, Score::cosine, Score::negative_distance};

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// The weight of the first of two keys under one query.
double first_weight(Score score, const Nested& query, const Nested& keys) {
  Tape tape({.dtype = DType::f64});
  const AttentionResult r = attention_by_score(tape.constant(query), tape.constant(keys),
                                               tape.constant({{10}, {20}}), {.score = score});
  BOOST_TEST((r.weights.shape() == Shape{1, 1, 1, 2}));
  const double w = r.weights.value().at({0, 0, 0, 0});
  BOOST_TEST(r.context.value().at({0, 0}) == 20 - 10 * w, boost::test_tools::tolerance(1e-14));
  return w;
}

bool finite(const Tensor& x) {
  for (double v : x.to_vector())
    if (!std::isfinite(v)) return false;
  return true;
}

struct Mha {
  ParameterStore params{11, DType::f64};
  MultiHeadAttention layer;
  explicit Mha(const MultiHeadAttentionOptions& options = {}) : layer(params.root() / "mha", 4, 2, options) {
    params.at("mha.in_proj_bias").assign(sample_values({12}, -1, 1, 3));
  }
};

/// Keys and values of widths of their own.
struct Widths {
  ParameterStore params{11, DType::f64};
  MultiHeadAttention layer;
  explicit Widths(const MultiHeadAttentionOptions& options) : layer(params.root() / "mha", 4, 2, options) {
    params.at("mha.in_proj_bias").assign(sample_values({12}, -1, 1, 3));
  }
  std::vector<Tensor> inputs() const {
    return {sample_values({2, 3, 4}, -2, 2, 1),
            sample_values({2, 4, layer.options.kdim.value_or(4)}, -2, 2, 2),
            sample_values({2, 4, layer.options.vdim.value_or(4)}, -2, 2, 3)};
  }
};

/// softmax(q kᵀ / √2) of one head of `Mha`, with loops. x [time, 4]
std::vector<double> weights_by_hand(const Mha& mha, const Tensor& x, Index head, Index query) {
  const auto project = [&](Index row, Index t) {
    double sum = mha.layer.in_proj_bias.value().at({row});
    for (Index i = 0; i < 4; ++i) sum += mha.layer.in_proj_weight.value().at({row, i}) * x.at({t, i});
    return sum;
  };
  std::vector<double> weights;
  double total = 0;
  for (Index key = 0; key < x.shape()[0]; ++key) {
    double dot = 0;
    for (Index i = 0; i < 2; ++i) dot += project(2 * head + i, query) * project(4 + 2 * head + i, key);
    weights.push_back(std::exp(dot / std::sqrt(2.0)));
    total += weights.back();
  }
  for (double& w : weights) w /= total;
  return weights;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nn_attention)

BOOST_AUTO_TEST_CASE(scores_by_hand) {
  const auto close = boost::test_tools::tolerance(1e-14);
  BOOST_TEST(first_weight(Score::dot, {{1, 2}}, {{1, 1}, {0, 1}}) == sigmoid_of(1), close);
  BOOST_TEST(first_weight(Score::scaled_dot, {{1, 2}}, {{1, 1}, {0, 1}}) == sigmoid_of(1 / std::sqrt(2.0)),
             close);
  BOOST_TEST(first_weight(Score::cosine, {{7, 0}}, {{5, 0}, {0, 3}}) == sigmoid_of(1), close);
  BOOST_TEST(first_weight(Score::cosine, {{0, 0}}, {{5, 0}, {0, 3}}) == 0.5, close);
  BOOST_TEST(first_weight(Score::negative_distance, {{1, 0}}, {{1, 3}, {5, 3}}) == sigmoid_of(2), close);
}

BOOST_AUTO_TEST_CASE(scores_have_right_gradients) {
  const Mask mask = Mask::from_lengths(Tensor::ids({4, 2})) & Mask::causal(1);
  for (const Score score : scores) {
    const auto f = [&](const std::vector<Var>& in) {
      const AttentionResult r =
          attention_by_score(in[0], in[1], in[2], {.score = score, .mask = mask, .bias = in[3]});
      return r.context * (1 + sum(square(r.weights)));
    };
    const GradcheckResult r =
        gradcheck(f, {sample_values({2, 2, 3, 3}, -2, 2, 1), sample_values({2, 2, 4, 3}, -2, 2, 2),
                      sample_values({2, 2, 4, 2}, -2, 2, 3), sample_values({2, 1, 4}, -1, 1, 4)});
    BOOST_TEST(r.ok, r.message);
  }
}

BOOST_AUTO_TEST_CASE(layouts_agree_for_every_score) {
  const Tensor q = sample_values({2, 3, 4}, -2, 2, 1), k = sample_values({2, 5, 4}, -2, 2, 2),
               v = sample_values({2, 5, 6}, -2, 2, 3), bias = sample_values({3, 5}, -1, 1, 4);
  for (const Score score : scores) {
    Tape tape({.dtype = DType::f64});
    const auto run = [&](Var a, Var b, Var c, HeadLayout layout) {
      return attention_by_score(a, b, c, {.score = score, .bias = tape.constant(bias), .layout = layout});
    };
    const auto same = [](const Var& a, const Var& b) {
      const double error = max(abs(reshape(a, {-1}) - reshape(b, {-1}))).item();
      BOOST_TEST(error < 1e-14);
    };
    const Var vq = tape.constant(q), vk = tape.constant(k), vv = tape.constant(v);
    const auto split = [](const Var& x) {  // two heads
      return transpose(reshape(x, {2, x.shape()[1], 2, x.shape()[2] / 2}), 1, 2);
    };
    const AttentionResult packed = run(vq, vk, vv, PackedHeads{2}),
                          apart = run(split(vq), split(vk), split(vv), HeadAxis{});
    BOOST_TEST((packed.context.shape() == Shape{2, 3, 6}));
    same(packed.weights, apart.weights);
    same(packed.context, transpose(apart.context, 1, 2));
    // One head: with all axes, without heads, and without both.
    const AttentionResult four = run(unsqueeze(vq, 1), unsqueeze(vk, 1), unsqueeze(vv, 1), HeadAxis{}),
                          three = run(vq, vk, vv, HeadAxis{});
    same(four.context, three.context);
    same(four.weights, three.weights);
    const Var one = run(select(vq, 0, 1), select(vk, 0, 1), select(vv, 0, 1), HeadAxis{}).context;
    BOOST_TEST((one.shape() == Shape{3, 6}));
    same(one, select(three.context, 0, 1));
    const Var one_packed = run(select(vq, 0, 1), select(vk, 0, 1), select(vv, 0, 1), PackedHeads{2}).context;
    BOOST_TEST((one_packed.shape() == Shape{3, 6}));
    same(one_packed, select(packed.context, 0, 1));
    BOOST_TEST(error_of([&] { run(vq, vk, vv, PackedHeads{3}); }).find("3 heads do not divide") !=
               std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_query_on_top_of_a_key_has_a_finite_gradient) {
  for (const Score score : {Score::cosine, Score::negative_distance}) {
    Tape tape({.dtype = DType::f64});
    const Var x = tape.variable({{0, 0}, {1, 2}, {1, 2}});
    const Gradients g = tape.backward(sum(square(attention_by_score(x, x, x, {.score = score}).context)));
    BOOST_TEST(finite(g[x]));
  }
}

BOOST_AUTO_TEST_CASE(weights_are_a_softmax_whose_rows_sum_to_one) {
  const Mha mha;
  const Tensor x = sample_values({2, 3, 4});
  Tape tape({.dtype = DType::f64});
  const Var in = tape.variable(x);
  const AttentionResult r = mha.layer(in, in, in, Mask::none(), {.need_weights = true});
  const AttentionResult unmasked = mha.layer(in, in, in, {.need_weights = true, .need_scores = true});
  BOOST_TEST(identical(unmasked.weights.value(), r.weights.value()));
  BOOST_TEST((unmasked.scores.shape() == r.weights.shape()));
  BOOST_TEST(!r.scores);
  BOOST_TEST((r.weights.shape() == Shape{2, 2, 3, 3}));
  for (Index b = 0; b < 2; ++b)
    for (Index h = 0; h < 2; ++h)
      for (Index i = 0; i < 3; ++i) {
        const std::vector<double> expected = weights_by_hand(mha, select(in, 0, b).value(), h, i);
        double total = 0;
        for (Index j = 0; j < 3; ++j) {
          const double w = r.weights.value().at({b, h, i, j});
          BOOST_TEST(std::abs(w - expected[static_cast<std::size_t>(j)]) < 1e-14);
          total += w;
        }
        BOOST_TEST(std::abs(total - 1) < 1e-14);
      }
  const Mask dead = Mask::keep(Tensor::of({{1, 1, 0}, {0, 0, 0}, {0, 1, 1}}, DType::boolean));
  const Tensor sums = sum(mha.layer(in, in, in, dead, {.need_weights = true}).weights, -1).value();
  for (Index i = 0; i < 3; ++i) BOOST_TEST(std::abs(sums.at({1, 1, i}) - (i == 1 ? 0 : 1)) < 1e-14);
}

BOOST_AUTO_TEST_CASE(a_loss_of_the_weights_alone_trains_the_projections) {
  Mha mha;
  const auto f = [&](const std::vector<Var>& in) {
    return mha.layer(in[0], in[1], in[1], Mask::causal(1), {.need_weights = true}).weights;
  };
  const std::vector<Tensor> inputs = {sample_values({2, 3, 4}, -2, 2, 1), sample_values({2, 4, 4}, -2, 2, 2)};
  const GradcheckResult r = gradcheck(f, inputs, mha.params, {.label = "weights"});
  BOOST_TEST(r.ok, r.message);
  Tape tape({.dtype = DType::f64});
  const Var q = tape.variable(inputs[0]), k = tape.variable(inputs[1]);
  const Gradients g = tape.backward(sum(square(f({q, k}))));
  BOOST_TEST(test::error_of([&] { (void)g[mha.layer.in_proj_weight].array<double>().abs().maxCoeff(); }) ==
             "no error");
  BOOST_TEST(g[mha.layer.in_proj_weight].array<double>().abs().maxCoeff() > 1e-3);
  BOOST_TEST(!g.contains(mha.layer.out_proj.weight));
}

BOOST_AUTO_TEST_CASE(weights_are_those_before_dropout_and_asking_changes_no_bit) {
  for (const Score score : scores) {
    const Mha mha({.dropout = 0.5, .score = score});
    const Tensor x = sample_values({2, 5, 4});
    const auto run = [&](bool training, bool ask) {
      Tape tape({.dtype = DType::f64, .training = training, .seed = 4});
      const Var in = tape.variable(x);
      if (!ask) return std::pair{mha.layer(in, in, in).value().clone(), Tensor()};
      const AttentionResult r = mha.layer(in, in, in, Mask::none(), {.need_weights = true});
      return std::pair{r.context.value().clone(), r.weights.value().clone()};
    };
    const auto [still, weights] = run(false, true);
    const auto [dropped, training_weights] = run(true, true);
    BOOST_TEST(identical(weights, training_weights));
    BOOST_TEST(!identical(still, dropped));
    BOOST_TEST(identical(dropped, run(true, false).first));
    Tape tapped({.dtype = DType::f64, .training = true, .seed = 4});
    tapped.observers().collect("mha.weights");
    const Var in = tapped.variable(x);
    BOOST_TEST(identical(mha.layer(in, in, in).value(), dropped));
    BOOST_TEST_REQUIRE(tapped.observers().collected().size() == 1u);
    BOOST_TEST(tapped.observers().collected()[0].name == "mha.weights");
    BOOST_TEST(identical(tapped.observers().collected()[0].value.value(), weights));
  }
}

BOOST_AUTO_TEST_CASE(widths_of_their_own) {
  for (const auto& [kdim, vdim] : std::vector<std::pair<std::optional<Index>, std::optional<Index>>>{
           {{}, {}}, {4, 4}, {3, {}}, {{}, 5}, {3, 5}}) {
    Widths m({.kdim = kdim, .vdim = vdim});
    const bool packed = kdim.value_or(4) == 4 && vdim.value_or(4) == 4;
    BOOST_TEST(static_cast<bool>(m.layer.in_proj_weight) == packed);
    std::vector<std::string> names;
    for (const Parameter& p : m.params) names.push_back(fmt::format("{} {}", p.path(), p.shape()));
    const std::vector<std::string> weights =
        packed ? std::vector<std::string>{"mha.in_proj_weight [12, 4]"}
               : std::vector<std::string>{"mha.q_proj_weight [4, 4]",
                                          fmt::format("mha.k_proj_weight [4, {}]", kdim.value_or(4)),
                                          fmt::format("mha.v_proj_weight [4, {}]", vdim.value_or(4))};
    std::vector<std::string> expected = weights;
    for (const char* rest : {"mha.in_proj_bias [12]", "mha.out_proj.weight [4, 4]", "mha.out_proj.bias [4]"})
      expected.push_back(rest);
    BOOST_TEST(names == expected, boost::test_tools::per_element());
    const std::vector<Tensor> inputs = m.inputs();
    for (const Score score : scores) {
      m.layer.options.score = score;
      for (const bool fused : {true, false}) {
        const GradcheckResult r = gradcheck(
            [&](const std::vector<Var>& in) { return m.layer(in[0], in[1], in[2], Mask::causal(1)); }, inputs,
            m.params, {.label = "MultiHeadAttention", .fused = fused});
        BOOST_TEST(r.ok, r.message);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(separate_projections_equal_the_packed_one) {
  // Equal numbers, packed and apart: a column of zeros makes the keys wider.
  for (const DType dtype : {DType::f64, DType::f32})
    for (const bool fused : {true, false}) {
      ParameterStore params(3, dtype);
      const MultiHeadAttention packed(params.root() / "packed", 4, 2),
          apart(params.root() / "apart", 4, 2, {.kdim = 5});
      packed.in_proj_bias.assign(sample_values({12}, -1, 1, 3));
      const Tensor w = packed.in_proj_weight.value();
      const auto rows = [&](Index begin, Index width) {
        std::vector<double> values;
        for (Index i = 0; i < 4; ++i)
          for (Index j = 0; j < width; ++j) values.push_back(j < 4 ? w.at({begin + i, j}) : 0);
        return Tensor::from(values, {4, width}, DType::f64);
      };
      apart.q_proj_weight.assign(rows(0, 4));
      apart.k_proj_weight.assign(rows(4, 5));
      apart.v_proj_weight.assign(rows(8, 4));
      apart.in_proj_bias.assign(packed.in_proj_bias.value());
      apart.out_proj.weight.assign(packed.out_proj.weight.value());
      Tape tape({.dtype = dtype, .fused = fused});
      const Var x = tape.variable(sample_values({2, 3, 4}).to(dtype));
      const Var wide = concat({x, tape.full({2, 3, 1}, 7)}, -1);
      const AttentionResult a = packed(x, x, x, Mask::causal(), {.need_weights = true}),
                            b = apart(x, wide, x, Mask::causal(), {.need_weights = true});
      const double limit = dtype == DType::f64 ? 1e-14 : 1e-6;
      BOOST_TEST(max(abs(a.context - b.context)).item() < limit);
      BOOST_TEST(max(abs(a.weights - b.weights)).item() < limit);
      const Gradients ga = tape.backward(sum(square(a.context))), gb = tape.backward(sum(square(b.context)));
      const std::vector<double> all = ga[packed.in_proj_weight].to_vector(),
                                values = gb[apart.v_proj_weight].to_vector(),
                                ba = ga[packed.in_proj_bias].to_vector(),
                                bb = gb[apart.in_proj_bias].to_vector();
      for (std::size_t i = 0; i < values.size(); ++i)
        BOOST_TEST(std::abs(all[32 + i] - values[i]) < 10 * limit);
      for (std::size_t i = 0; i < ba.size(); ++i) BOOST_TEST(std::abs(ba[i] - bb[i]) < 10 * limit);
    }
}

BOOST_AUTO_TEST_CASE(widths_that_do_not_fit_are_named) {
  Widths m({.kdim = 3, .vdim = 5});
  Tape tape({.dtype = DType::f64});
  const auto of = [&](const Shape& shape) { return tape.constant(Tensor(shape, DType::f64)); };
  const Var q = of({2, 3, 4}), k = of({2, 6, 3}), v = of({2, 6, 5});
  const auto error = [&](const Var& a, const Var& b, const Var& c) {
    return error_of([&] { m.layer(a, b, c); });
  };
  BOOST_TEST((m.layer(q, k, v).shape() == Shape{2, 3, 4}));
  BOOST_TEST((m.layer(of({3, 4}), of({6, 3}), of({6, 5})).shape() == Shape{3, 4}));
  BOOST_TEST(error(k, k, v) ==
             "mha: MultiHeadAttention: query [2, 6, 3] and q_proj_weight [4, 4] do not fit: query must be "
             "[batch, time, d_model] with d_model = 4, or without batch");
  BOOST_TEST(
      error(q, q, v) ==
      "mha: MultiHeadAttention: key [2, 3, 4] and k_proj_weight [4, 3] do not fit: key must be [batch, "
      "time, kdim] with kdim = 3, or without batch");
  BOOST_TEST(error(q, k, of({5})) ==
             "mha: MultiHeadAttention: value [5] and v_proj_weight [4, 5] do not fit: value must be [batch, "
             "time, vdim] with vdim = 5, or without batch");
  BOOST_TEST(error(q, k, of({2, 4, 5})) ==
             "mha: MultiHeadAttention: key [2, 6, 3] and value [2, 4, 5] differ in the number of keys, axis "
             "1: each key has one value");
  BOOST_TEST(error(q, k, of({1, 6, 5})) ==
             "mha: MultiHeadAttention: query [2, 3, 4], key [2, 6, 3] and value [1, 6, 5] differ in the "
             "extent of axis 0, batch, or in rank: all are [batch, time, width], or all without batch");
  BOOST_TEST(error_of([&] { MultiHeadAttention(m.params.root(), 4, 2, {.kdim = -1, .vdim = 2}); }) ==
             "MultiHeadAttention: kdim -1 and vdim 2 must be positive");
}

BOOST_AUTO_TEST_CASE(second_derivatives) {
  for (const Score score : scores) {
    Mha mha({.score = score});
    const Mask mask = Mask::causal() & Mask::from_lengths(Tensor::ids({3, 2}));
    const std::vector<Tensor> inputs = {sample_values({2, 3, 4}, -2, 2, 1),
                                        sample_values({2, 3, 4}, -2, 2, 2)};
    const auto f = [&](const std::vector<Var>& in) { return mha.layer(in[0], in[1], in[1], mask); };
    const GradcheckResult r = gradgradcheck(f, inputs, {.label = "MultiHeadAttention"});
    BOOST_TEST(r.ok, r.message);
    BOOST_TEST_MESSAGE(r.message);
    // Mixed second derivatives, with respect to inputs and parameters.
    const auto gradient = [&](const std::vector<Var>& in) {
      Tape& tape = in[0].tape();
      const Gradients g = tape.backward(sum(square(f(in))), {.create_graph = true});
      Var total = sum(square(g.var(in[0]))) + sum(square(g.var(in[1])));
      for (const Parameter& p : mha.params) total = total + sum(square(g.var(tape[p])));
      return total;
    };
    const GradcheckResult mixed = gradcheck(gradient, inputs, mha.params, {.label = "mixed", .elements = 6});
    BOOST_TEST(mixed.ok, mixed.message);
    BOOST_TEST_MESSAGE(mixed.message);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
