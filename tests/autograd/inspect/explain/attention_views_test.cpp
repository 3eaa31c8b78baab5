#include <tapegrad/autograd/inspect/explain/attention_views.h>

#include <tapegrad/autograd/inspect/explain/head_table.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>

#include <tests/support/explained.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::test;

namespace {

using Names = std::vector<std::string>;

/// Rows of head `head` of a value [1, heads, rows, columns].
std::vector<double> head_of(const TapeRecord& tape, const AttentionView& view, const char* name, Index head,
                            bool gradient) {
  const RecordedValue& v = tape[view.values.at(name)];
  const std::vector<double>& all = gradient ? v.gradient : v.value;
  const auto size = static_cast<std::ptrdiff_t>(all.size()) / view.heads;
  return {all.begin() + head * size, all.begin() + (head + 1) * size};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_views)

BOOST_AUTO_TEST_CASE(three_layers_are_found_by_their_structure) {
  for (const bool norm_first : {false, true}) {
    ExplainedRun run(norm_first);
    TapeRecord tape = record(run.loss);
    const std::vector<AttentionView> views = find_attention_views(tape, run.source, run.target);
    BOOST_REQUIRE_EQUAL(views.size(), 3u);
    BOOST_TEST(views[0].path == "transformer.encoder.layers.0.self_attn");
    BOOST_TEST(views[1].path == "transformer.decoder.layers.0.self_attn");
    BOOST_TEST(views[2].path == "transformer.decoder.layers.0.multihead_attn");
    BOOST_TEST((views[0].kind == "self" && views[1].kind == "causal" && views[2].kind == "cross"));
    BOOST_TEST((views[0].rows == run.source && views[0].columns == run.source));
    BOOST_TEST((views[1].rows == run.target && views[1].columns == run.target));
    BOOST_TEST((views[2].rows == run.target && views[2].columns == run.source));
    for (const AttentionView& view : views) {
      BOOST_TEST((view.heads == 2 && view.head_dim == 4 && view.scale == 0.5));
      for (const char* name :
           {"x_query", "x_key", "x_value", "query", "key", "value", "scores", "weights", "context", "merged",
            "output", "in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias"})
        BOOST_TEST(view.values.contains(name), view.path << " " << name);
      BOOST_TEST(tape[view.values.at("in_proj_weight")].label == view.path + ".in_proj_weight");
    }
    std::vector<std::uint8_t> causal(25);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j <= i; ++j) causal[i * 5 + j] = 1;
    BOOST_TEST(views[1].keep == causal);
    BOOST_TEST(views[2].keep == std::vector<std::uint8_t>(30, 1));
    label_values(tape, views);
    BOOST_TEST(tape.named("transformer.decoder.layers.0.self_attn.scores").id ==
               views[1].values.at("scores"));
    BOOST_TEST(attention_values({views[0]}).size() == 7u);
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_a_view_follow_from_one_another) {
  ExplainedRun run(false, 0.3);
  const TapeRecord tape = record(run.loss);
  const std::vector<AttentionView> views = find_attention_views(tape, {}, {});
  BOOST_REQUIRE_EQUAL(views.size(), 3u);
  for (const AttentionView& view : views) {
    BOOST_TEST(view.values.contains("dropped"));
    BOOST_TEST(view.rows[0] == "0");
    for (Index head = 0; head < 2; ++head) {
      const auto p = head_of(tape, view, "weights", head, false),
                 dp = head_of(tape, view, "weights", head, true),
                 ds = head_of(tape, view, "scores", head, true),
                 out = head_of(tape, view, "context", head, false),
                 dout = head_of(tape, view, "context", head, true);
      const std::size_t rows = view.rows.size(), columns = view.columns.size(), dim = out.size() / rows;
      for (std::size_t i = 0; i < rows; ++i) {
        double along = 0, other = 0;
        for (std::size_t j = 0; j < columns; ++j) along += p[i * columns + j] * dp[i * columns + j];
        for (std::size_t c = 0; c < dim; ++c) other += out[i * dim + c] * dout[i * dim + c];
        BOOST_TEST(std::abs(along - other) < 1e-12);
        for (std::size_t j = 0; j < columns; ++j)
          BOOST_TEST(std::abs(ds[i * columns + j] - p[i * columns + j] * (dp[i * columns + j] - along)) <
                     1e-12);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(attention_of_a_users_own) {
  ParameterStore params(1);
  const Scope own = params.root() / "own";
  const Linear q(own / "q", 4, 4), k(own / "k", 4, 4), v(own / "v", 4, 4), out(own / "out", 4, 4);
  Tape tape({.dtype = DType::f64});
  shake(params);
  const Var x = tape.variable({{1, 0, 2, -1}, {0, 1, 1, 1}, {2, -1, 0, 1}});
  const Var bias = tape.variable({{0.1, 0.2, 0.3}, {0.2, 0, -0.1}, {0.4, 0.1, 0}});
  const Tensor future = Tensor::of({{0, 1, 1}, {0, 0, 1}, {0, 0, 0}}, DType::boolean);
  const Var query = q(x), key = k(x);
  const Var scores = matmul(query, transpose(key, 0, 1)) / 2 + bias;
  const Var weights = softmax(masked_fill(scores, future, -1e9));
  const Var loss = sum(square(out(matmul(weights, v(x)))));
  const TapeRecord taken = record(loss);
  const std::vector<AttentionView> views = find_attention_views(taken, {"a", "b", "c"}, {});
  BOOST_REQUIRE_EQUAL(views.size(), 1u);
  BOOST_TEST(
      (views[0].kind == "causal" && views[0].heads == 1 && views[0].head_dim == 4 && views[0].scale == 0.5));
  BOOST_TEST((views[0].rows == Names{"a", "b", "c"}));
  BOOST_TEST((views[0].keep == std::vector<std::uint8_t>{1, 0, 0, 1, 1, 0, 1, 1, 1}));
  for (const auto& [name, var] :
       {std::pair{"query", query}, {"key", key}, {"scores", scores}, {"weights", weights}, {"bias", bias}})
    BOOST_TEST(taken[views[0].values.at(name)].node == var.id().node, name);
  BOOST_TEST(taken[views[0].values.at("k_proj_bias")].label == "own.k.bias");
}

/// As in examples/3_attention_by_hand.cpp: weights [in, out], no bias, no output projection.
BOOST_AUTO_TEST_CASE(attention_of_plain_products) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 0}, {0, 1}, {1, 1}});
  const Var wq = tape.variable({{1, 0.5}, {-0.5, 1}}), wk = tape.variable({{0.5, -1}, {1, 0.5}}),
            wv = tape.variable({{2, 0}, {-1, 1}});
  const Var scores = matmul(matmul(x, wq), matmul(x, wk), {.transpose_b = true}) / std::sqrt(2.0);
  const Var context = matmul(softmax(scores), matmul(x, wv));
  const Var again = matmul(softmax(2 * scores), matmul(x, wv));
  const Explanation what = explain(sum(square(context + again)), {.source = {"sun", "day", "sunday"}});
  BOOST_REQUIRE_EQUAL(what.attention_views.size(), 2u);
  BOOST_TEST(what.notices.empty());
  const AttentionView& view = what.attention_views[0];
  BOOST_TEST((view.path == "" && what.attention_views[1].path == "the run (2)"));
  BOOST_TEST((view.in_by_out && view.kind == "self" && view.heads == 1 && view.head_dim == 2));
  BOOST_TEST((view.rows == Names{"sun", "day", "sunday"} && view.columns == view.rows));
  BOOST_TEST(!view.values.contains("output"));
  BOOST_TEST(what.tape[view.values.at("q_proj_weight")].node == wq.id().node);
  const std::vector<HeadTable> tables = head_tables(what, view, 0);
  BOOST_TEST((tables.front().formula == "Q = X W_Q" && tables.back().formula == "dW_V = X' dV"));
  const std::vector<double> gradient = tape.backward(sum(square(context + again)))[wv].to_vector();
  BOOST_TEST(tables.back().values.size() == 4u);
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(std::abs(tables.back().values[i] - gradient[i]) < 1e-12);
  const std::string text = to_text(what);
  BOOST_TEST(text.find("Attention the run (self), head 1") != text.npos);
  BOOST_TEST(text.find("F6  Y") == text.npos);
}

/// Two heads of one weight [in, 3 out], put back together by a weight [in, out].
BOOST_AUTO_TEST_CASE(packed_products_with_an_output) {
  Tape tape({.dtype = DType::f64});
  const auto filled = [&](Index rows, Index columns) {
    Tensor w(Shape{rows, columns}, DType::f64);
    for (Index i = 0; i < w.size(); ++i) w.data<double>()[i] = std::sin(static_cast<double>(i + columns));
    return tape.variable(w);
  };
  const Var x = filled(3, 4), in = filled(4, 12), out = filled(4, 4), packed = matmul(x, in);
  const auto part = [&](Index third) {
    return permute(reshape(slice(packed, 1, 4 * third, 4), {3, 2, 2}), {1, 0, 2});
  };
  const Var weights = softmax(matmul(part(0), part(1), {.transpose_b = true}));
  const Var merged = reshape(permute(matmul(weights, part(2)), {1, 0, 2}), {3, 4});
  const Explanation what = explain(sum(square(matmul(merged, out))));
  BOOST_REQUIRE_EQUAL(what.attention_views.size(), 1u);
  const AttentionView& view = what.attention_views[0];
  BOOST_TEST((view.in_by_out && view.heads == 2 && view.head_dim == 2));
  BOOST_TEST(what.tape[view.values.at("in_proj_weight")].node == in.id().node);
  BOOST_TEST(what.tape[view.values.at("out_proj_weight")].node == out.id().node);
  const std::vector<double>& whole = what.tape[view.values.at("in_proj_weight")].gradient;
  const HeadTable keys = *(head_tables(what, view, 1).end() - 2);  // of head 2
  BOOST_TEST((keys.name == "dW_K" && keys.columns == Names{"6", "7"} && keys.rows.size() == 4u));
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 2; ++j) BOOST_TEST(keys.values[2 * i + j] == whole[12 * i + 6 + j]);
}

BOOST_AUTO_TEST_CASE(attention_without_a_view) {
  ExplainedRun fused(false, 0, false);
  BOOST_TEST(find_attention_views(record(fused.loss), {}, {}).empty());
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 0}, {0, 1}}), p = softmax(matmul(x, x, {.transpose_b = true}));
  BOOST_TEST(find_attention_views(record(sum(square(matmul(p, x)))), {}, {}).empty());  // no projections
}

BOOST_AUTO_TEST_SUITE_END()
