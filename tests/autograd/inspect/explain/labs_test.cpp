#include <tapegrad/autograd/inspect/explain/labs.h>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>

#include <tests/support/explained.h>
#include <boost/test/unit_test.hpp>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::test;

namespace {

using Names = std::vector<std::string>;

/// Rows of head `head` of a value [1, heads, rows, columns].
std::vector<double> head_of(const TapeRecord& tape, const AttentionLab& lab, const char* name, Index head,
                            bool gradient) {
  const RecordedValue& v = tape[lab.values.at(name)];
  const std::vector<double>& all = gradient ? v.gradient : v.value;
  const auto size = static_cast<std::ptrdiff_t>(all.size()) / lab.heads;
  return {all.begin() + head * size, all.begin() + (head + 1) * size};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_labs)

BOOST_AUTO_TEST_CASE(three_layers_are_found_by_their_structure) {
  for (const bool norm_first : {false, true}) {
    ExplainedRun run(norm_first);
    TapeRecord tape = record(run.loss);
    const std::vector<AttentionLab> labs = find_labs(tape, run.source, run.target);
    BOOST_REQUIRE_EQUAL(labs.size(), 3u);
    BOOST_TEST(labs[0].path == "transformer.encoder.layers.0.self_attn");
    BOOST_TEST(labs[1].path == "transformer.decoder.layers.0.self_attn");
    BOOST_TEST(labs[2].path == "transformer.decoder.layers.0.multihead_attn");
    BOOST_TEST((labs[0].kind == "self" && labs[1].kind == "causal" && labs[2].kind == "cross"));
    BOOST_TEST((labs[0].rows == run.source && labs[0].columns == run.source));
    BOOST_TEST((labs[1].rows == run.target && labs[1].columns == run.target));
    BOOST_TEST((labs[2].rows == run.target && labs[2].columns == run.source));
    for (const AttentionLab& lab : labs) {
      BOOST_TEST((lab.heads == 2 && lab.head_dim == 4 && lab.scale == 0.5));
      for (const char* name :
           {"x_query", "x_key", "x_value", "query", "key", "value", "scores", "weights", "context", "merged",
            "output", "in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias"})
        BOOST_TEST(lab.values.contains(name), lab.path << " " << name);
      BOOST_TEST(tape[lab.values.at("in_proj_weight")].label == lab.path + ".in_proj_weight");
    }
    std::vector<std::uint8_t> causal(25);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j <= i; ++j) causal[i * 5 + j] = 1;
    BOOST_TEST(labs[1].keep == causal);
    BOOST_TEST(labs[2].keep == std::vector<std::uint8_t>(30, 1));
    label_values(tape, labs);
    BOOST_TEST(tape.named("transformer.decoder.layers.0.self_attn.scores").id == labs[1].values.at("scores"));
    BOOST_TEST(lab_values({labs[0]}).size() == 7u);
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_a_lab_follow_from_one_another) {
  ExplainedRun run(false, 0.3);
  const TapeRecord tape = record(run.loss);
  const std::vector<AttentionLab> labs = find_labs(tape, {}, {});
  BOOST_REQUIRE_EQUAL(labs.size(), 3u);
  for (const AttentionLab& lab : labs) {
    BOOST_TEST(lab.values.contains("dropped"));
    BOOST_TEST(lab.rows[0] == "0");
    for (Index head = 0; head < 2; ++head) {
      const auto p = head_of(tape, lab, "weights", head, false),
                 dp = head_of(tape, lab, "weights", head, true),
                 ds = head_of(tape, lab, "scores", head, true),
                 out = head_of(tape, lab, "context", head, false),
                 dout = head_of(tape, lab, "context", head, true);
      const std::size_t rows = lab.rows.size(), columns = lab.columns.size(), dim = out.size() / rows;
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
  const std::vector<AttentionLab> labs = find_labs(taken, {"a", "b", "c"}, {});
  BOOST_REQUIRE_EQUAL(labs.size(), 1u);
  BOOST_TEST(
      (labs[0].kind == "causal" && labs[0].heads == 1 && labs[0].head_dim == 4 && labs[0].scale == 0.5));
  BOOST_TEST((labs[0].rows == Names{"a", "b", "c"}));
  BOOST_TEST((labs[0].keep == std::vector<std::uint8_t>{1, 0, 0, 1, 1, 0, 1, 1, 1}));
  for (const auto& [name, var] :
       {std::pair{"query", query}, {"key", key}, {"scores", scores}, {"weights", weights}, {"bias", bias}})
    BOOST_TEST(taken[labs[0].values.at(name)].node == var.stamp().node, name);
  BOOST_TEST(taken[labs[0].values.at("k_proj_bias")].label == "own.k.bias");
}

BOOST_AUTO_TEST_CASE(what_is_no_lab) {
  ExplainedRun fused(false, 0, false);
  BOOST_TEST(find_labs(record(fused.loss), {}, {}).empty());
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 0}, {0, 1}}), p = softmax(matmul(x, x, {.transpose_b = true}));
  BOOST_TEST(find_labs(record(sum(square(matmul(p, x)))), {}, {}).empty());  // no projections
}

BOOST_AUTO_TEST_SUITE_END()
