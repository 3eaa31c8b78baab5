// Both systems of docs/article.md, and every pitfall it names: the wrong result beside ours.
#include "examples/article/exhibits.h"

#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/optim/adam.h>

#include <tests/support/errors.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::optim;
using namespace tapegrad::article;
using tapegrad::test::error_of;

namespace {

double largest(const std::vector<double>& x) { return *std::max_element(x.begin(), x.end()); }

std::set<std::string> parts_of(const ParameterStore& params) {
  std::set<std::string> parts;
  for (const Parameter& p : params) parts.insert(p.path().substr(0, p.path().find('.')));
  return parts;
}

const auto near = boost::test_tools::tolerance(1e-6);

}  // namespace

BOOST_AUTO_TEST_SUITE(article_of_the_docs)

BOOST_AUTO_TEST_CASE(attention_without_a_batch) {
  Tape tape({.dtype = DType::f64});
  const auto values = [&](Shape shape, std::uint64_t draw) { return noise(shape, draw).to(DType::f64); };
  const Tensor q = values({3, 4}, 1), k = values({5, 4}, 2), v = values({5, 2}, 3);  // d_v is not d_k
  const Var ours = article::attention(tape.constant(q), tape.constant(k), tape.constant(v));
  const Var fused = tapegrad::attention(tape.constant(q), tape.constant(k), tape.constant(v));
  BOOST_TEST((ours.shape() == Shape{3, 2}));
  for (Index i = 0; i < 6; ++i)
    BOOST_TEST(ours.value().data<double>()[i] == fused.value().data<double>()[i],
               boost::test_tools::tolerance(1e-12));
  const auto call = [](const std::vector<Var>& in) { return article::attention(in[0], in[1], in[2]); };
  const GradcheckResult result = gradcheck(call, {q, k, v});
  BOOST_TEST(result.ok, result.message);
}

BOOST_AUTO_TEST_CASE(each_row_of_the_weights_sums_to_1) {
  const Numbers sums = row_sums();
  double all = 0;
  for (const double s : sums.wrong) {
    BOOST_TEST(s < 0.9);
    all += s;
  }
  BOOST_TEST(all == 1, near);
  for (const double s : sums.right) BOOST_TEST(s == 1, near);
}

BOOST_AUTO_TEST_CASE(a_query_does_not_depend_on_another) {
  const Numbers moved = neighbours();
  BOOST_TEST(moved.wrong[0] > 1e-3);
  BOOST_TEST(moved.right[0] == 0);
}

BOOST_AUTO_TEST_CASE(large_scores_do_not_overflow) {
  const Numbers result = large_scores();
  BOOST_TEST(std::isnan(result.wrong[0]));
  BOOST_TEST(result.right[0] == 1 + 1 / (1 + std::exp(1)), boost::test_tools::tolerance(1e-4));
}

BOOST_AUTO_TEST_CASE(weights_are_normalised_and_the_product_is_not) {
  const Numbers result = normalised_product();
  for (const std::size_t query : {0u, 2u}) {  // for every query
    BOOST_TEST(result.wrong[query] == 1.0 / 11, near);
    BOOST_TEST(result.wrong[query + 1] == 10.0 / 11, near);
    BOOST_TEST((result.right[query] >= 1 && result.right[query] <= 3));
    BOOST_TEST(result.right[query + 1] == 10 * result.right[query], near);
  }
  BOOST_TEST(result.right[0] > 2.9);
  BOOST_TEST(result.right[2] < 1.1);
}

BOOST_AUTO_TEST_CASE(a_distance_needs_a_minus_sign) {
  const Numbers result = distance_sign();
  BOOST_TEST(result.wrong[1] == largest(result.wrong));  // the farthest key
  BOOST_TEST(result.right[0] == largest(result.right));  // the query itself
  const std::vector<double> cosine = weights_by(Score::cosine);
  BOOST_TEST(cosine[0] / cosine[2] == std::exp(2), near);  // e^1 against e^-1
  BOOST_TEST(weights_by(Score::scaled_dot)[1] == largest(weights_by(Score::scaled_dot)));
}

BOOST_AUTO_TEST_CASE(n_layers_counts) {
  const Numbers count = parameters_by_layers();
  BOOST_TEST((count.wrong[0] == count.wrong[1] && count.wrong[1] == count.wrong[2]));
  BOOST_TEST(count.right[1] > count.right[0]);
  BOOST_TEST(count.right[2] - count.right[0] == 5 * (count.right[1] - count.right[0]));
}

BOOST_AUTO_TEST_CASE(output_dim_counts) {
  const Numbers width = widths_by_output_dim();
  BOOST_TEST((width.wrong == std::vector<double>{8, 8}));
  BOOST_TEST((width.right == std::vector<double>{3, 5}));
}

BOOST_AUTO_TEST_CASE(heads_must_divide_the_width) {
  BOOST_TEST(heads_error() == "encoder.self_attn: 32 heads do not divide d_model = 8; take a divisor of 8");
  BOOST_CHECK_NO_THROW(article::Transformer(8, 3, 32, 1));  // a hidden size of 32, and 2 heads
}

BOOST_AUTO_TEST_CASE(the_decoder_needs_the_memory) {
  static_assert(!DecodesWithoutMemory<DecoderLayer> && !DecodesWithoutMemory<Decoder>);
  static_assert(DecodesWithoutMemory<EncoderLayer>);  // the concept can be true
  const Numbers moved = source_effect();
  BOOST_TEST(moved.wrong[0] == 0);
  BOOST_TEST(moved.right[0] > 0.01);
}

BOOST_AUTO_TEST_CASE(the_future_does_not_leak) {
  const Numbers moved = leak();
  for (const std::size_t t : {0u, 1u}) {
    BOOST_TEST(moved.wrong[t] > 0.01);
    BOOST_TEST(moved.right[t] == 0);
  }
  BOOST_TEST(moved.right[2] > 0.01);
  BOOST_TEST(moved.right[3] > 0.01);
}

BOOST_AUTO_TEST_CASE(a_layer_has_a_feed_forward_network) {
  const Numbers result = bend();
  BOOST_TEST(result.wrong[0] < 1e-5);
  BOOST_TEST(result.right[0] > 0.1);
  ParameterStore encoder, decoder;
  EncoderLayer(encoder.root(), {.d_model = 4, .nhead = 2});
  DecoderLayer(decoder.root(), {.d_model = 4, .nhead = 2});
  BOOST_TEST(
      (parts_of(encoder) == std::set<std::string>{"linear1", "linear2", "norm1", "norm2", "self_attn"}));
  BOOST_TEST((parts_of(decoder) == std::set<std::string>{"linear1", "linear2", "multihead_attn", "norm1",
                                                         "norm2", "norm3", "self_attn"}));
}

BOOST_AUTO_TEST_CASE(transformer_runs_free_as_it_is_trained) {
  const article::Transformer transformer(5, 3, 8, 2);
  Tape tape({.record = false});
  const Var x = tape.constant(noise({2, 4, 5}, 1));
  const Var y = transformer(x);
  BOOST_TEST((y.shape() == Shape{2, 4, 3}));
  BOOST_TEST(change(transformer(x, y).value(), y.value()) < 1e-5);
  const Var one = transformer(select(x, 0, 1));  // the second sequence alone, without a batch
  BOOST_TEST((one.shape() == Shape{4, 3}));
  BOOST_TEST(change(one.value(), select(y, 0, 1).value()) == 0);
}

BOOST_AUTO_TEST_CASE(transformer_names_what_does_not_fit) {
  const article::Transformer transformer(5, 3, 8, 2);
  Tape tape;
  BOOST_TEST(error_of([&] {
               transformer(tape.constant({1, 2}));
             }) == "Transformer: x must be [batch, time, input_dim] or [time, input_dim], got [2]");
  BOOST_TEST(error_of([&] {
               transformer(tape.full({1, 4, 5}, 0), tape.full({2, 4, 3}, 0));
             }) ==
             "Transformer: x must be [batch, source, input_dim], got [1, 4, 5], and y [batch, target, "
             "output_dim], got [2, 4, 3]");
  BOOST_TEST(
      error_of([&] {
        transformer(tape.full({4, 6}, 0));
      }) ==
      "source: linear: x [1, 4, 6] and weight [8, 5] do not fit: weight is [out, in], so x's last axis "
      "must be 5");
}

BOOST_AUTO_TEST_CASE(transformer_sees_x_whole_and_y_before) {
  const article::Transformer transformer(5, 3, 8, 2);
  Tape tape({.record = false});
  const Tensor x = noise({1, 4, 5}, 1), y = noise({1, 4, 3}, 2);
  const auto moves = [&](const Tensor& x2, const Tensor& y2) {
    const Var before = transformer(tape.constant(x), tape.constant(y));
    const Var after = transformer(tape.constant(x2), tape.constant(y2));
    std::vector<bool> moved;
    for (Index t = 0; t < 4; ++t)
      moved.push_back(change(select(before, 1, t).value(), select(after, 1, t).value()) > 0);
    return moved;
  };
  Tensor last_x = x.clone(), y1 = y.clone();
  last_x.matrix<float>().row(3) *= -1;
  y1.matrix<float>().row(1) *= -1;
  BOOST_TEST((moves(last_x, y) == std::vector<bool>{true, true, true, true}));
  BOOST_TEST((moves(x, y1) == std::vector<bool>{false, false, true, true}));
}

BOOST_AUTO_TEST_CASE(transformer_has_the_right_gradients_and_learns) {
  article::Transformer exact(3, 2, 4, 1, {.heads = 2, .seed = 1, .dtype = DType::f64});
  const auto call = [&](const std::vector<Var>& in) { return exact(in[0], in[1]); };
  const Tensor x64 = noise({1, 3, 3}, 1).to(DType::f64), y64 = noise({1, 3, 2}, 2).to(DType::f64);
  const GradcheckResult result =
      gradcheck(call, {x64, y64}, exact.params(), {.tolerance = 1e-6, .elements = 4});
  BOOST_TEST(result.ok, result.message);

  article::Transformer transformer(3, 2, 16, 1, {.seed = 1});
  Adam adam({.learning_rate = 5e-3});
  Tape tape({.training = true});
  double first = 0, last = 0;
  for (int step = 0; step < 150; ++step) {
    tape.reset();
    const Var x = tape.constant(noise({4, 5, 3}, 1));
    const Var y = slice(flip(x, 1), 2, 0, 2);  // the sequence backwards, two of its three numbers
    const Var loss = mean(square(transformer(x, y) - y));
    (step == 0 ? first : last) = loss.item();
    adam.step(tape.backward(loss));
  }
  BOOST_TEST(last < 0.05 * first);
}

BOOST_AUTO_TEST_SUITE_END()
