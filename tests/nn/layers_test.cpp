// Linear, Embedding, norms, Dropout, positions and tied embeddings on small numbers.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/dropout.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
using namespace nn;
namespace {

using test::check_values;
using test::error_of;

struct Fixture {
  ParameterStore params{1, DType::f64};
  Scope scope = params.root() / "model";
  Tape tape{{.dtype = DType::f64}};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(layers, Fixture)

BOOST_AUTO_TEST_CASE(linear_layer) {
  const Linear with(scope / "with", 2, 3), without(scope / "without", 2, 3, {.bias = false});
  const Tensor weight = Tensor::of({{1, 2}, {3, 4}, {5, 6}}, DType::f64);
  with.weight.assign(weight);
  without.weight.assign(weight);
  with.bias.assign(Tensor::of({1, 0, -1}, DType::f64));
  const Var x = tape.variable({{1, 1}, {2, -1}});
  check_values(with(x).value(), {2, 3}, {4, 7, 10, 1, 2, 3});
  check_values(without(x).value(), {2, 3}, {3, 7, 11, 0, 2, 4});
  BOOST_TEST(!without.bias);
  BOOST_TEST(!params.find("model.without.bias"));
  const Gradients g = tape.backward(sum(with(x)));
  check_values(g[x], {2, 2}, {9, 12, 9, 12});
  check_values(g[with.weight], {3, 2}, {3, 0, 3, 0, 3, 0});
  check_values(g[with.bias], {3}, {2, 2, 2});
}

BOOST_AUTO_TEST_CASE(embedding_layer) {
  const Embedding table(scope / "table", 4, 2, {.padding_idx = 1});
  check_values(slice(tape[table.weight], 0, 1, 1).value(), {1, 2}, {0, 0});
  table.weight.assign(Tensor::of({{1, 2}, {0, 0}, {5, 6}, {7, 8}}, DType::f64));
  const Var x = table(tape, Tensor::ids({{2, 1, 0}, {1, 2, 2}}));
  check_values(x.value(), {2, 3, 2}, {5, 6, 0, 0, 1, 2, 0, 0, 5, 6, 5, 6});
  check_values(tape.backward(sum(x))[table.weight], {4, 2}, {1, 1, 0, 0, 3, 3, 0, 0});
  const Embedding plain(scope / "plain", 4, 2);
  const Gradients g = tape.backward(sum(plain(tape, Tensor::ids({1, 1}))));
  check_values(g[plain.weight], {4, 2}, {0, 0, 2, 2, 0, 0, 0, 0});
  BOOST_TEST(error_of([&] { Embedding(scope / "bad", 4, 2, {.padding_idx = 4}); }) ==
             "Embedding: padding_idx 4 is out of range for 4 rows");
}

BOOST_AUTO_TEST_CASE(normalisation_layers) {
  const LayerNorm norm(scope / "norm", 4, {.eps = 2.75}),
      plain(scope / "plain", 4, {.eps = 2.75, .bias = false});
  const Var x = tape.variable({{1, 2, 3, 4}});  // mean 2.5, variance 1.25
  check_values(norm(x).value(), {1, 4}, {-0.75, -0.25, 0.25, 0.75});
  check_values(plain(x).value(), {1, 4}, {-0.75, -0.25, 0.25, 0.75});
  norm.weight.assign(Tensor::of({4, 8, 4, 8}, DType::f64));
  norm.bias.assign(Tensor::of({0, 1, 0, 1}, DType::f64));
  check_values(norm(x).value(), {1, 4}, {-3, -1, 1, 7});
  BOOST_TEST(!plain.bias);
  const RMSNorm rms(scope / "rms", 2, 3.5);
  const Var y = tape.variable({{3, 4}});  // mean of squares 12.5
  check_values(rms(y).value(), {1, 2}, {0.75, 1});
  rms.weight.assign(Tensor::of({4, -1}, DType::f64));
  check_values(rms(y).value(), {1, 2}, {3, -1});
}

BOOST_AUTO_TEST_CASE(dropout_layer) {
  const Dropout drop(scope / "drop", 0.25);
  const Tensor ones = Tensor::full({40, 50}, 3, DType::f64);
  const auto run = [&](std::uint64_t step) {
    tape.reset(step);
    return drop(tape.variable(ones)).value().to_vector();
  };
  BOOST_TEST(run(1) == ones.to_vector(), boost::test_tools::per_element());
  tape.set_training(true);
  const std::vector<double> first = run(1);
  int dropped = 0;
  for (double v : first) {
    if (v == 0)
      ++dropped;
    else
      BOOST_TEST(v == 4.0);
  }
  BOOST_TEST(std::abs(dropped - 500) < 80);  // four standard deviations
  BOOST_TEST((run(1) == first));
  BOOST_TEST((run(2) != first));
}

BOOST_AUTO_TEST_CASE(sinusoidal_table) {
  const Tensor table = sinusoidal_positions(60, 10);
  BOOST_TEST((table.shape() == Shape{60, 10}));
  for (Index t = 0; t < 60; ++t)
    for (Index i = 0; i < 5; ++i) {
      const double angle = static_cast<double>(t) / std::pow(10000.0, static_cast<double>(2 * i) / 10);
      BOOST_TEST(std::abs(table.at({t, 2 * i}) - std::sin(angle)) < 1e-13);
      BOOST_TEST(std::abs(table.at({t, 2 * i + 1}) - std::cos(angle)) < 1e-13);
    }
  const SinusoidalPositions positions(scope / "positions", 60, 10);
  const Var y = positions(tape.constant(Tensor::full({2, 3, 10}, 5, DType::f64)));
  BOOST_TEST(y.value().at({1, 2, 3}) == 5 + table.at({2, 3}));
  BOOST_TEST(params.size() == 0u);
}

BOOST_AUTO_TEST_CASE(learned_table) {
  const LearnedPositions positions(scope / "positions", 4, 2);
  BOOST_TEST(identical(positions.weight.value(), sinusoidal_positions(4, 2)));
  positions.weight.assign(Tensor::of({{1, 2}, {3, 4}, {5, 6}, {7, 8}}, DType::f64));
  const Var x = tape.variable(Tensor::full({3, 2, 2}, 1, DType::f64));
  const Var y = positions(x);
  check_values(select(y, 0, 2).value(), {2, 2}, {2, 3, 4, 5});
  const Gradients g = tape.backward(sum(y));
  check_values(g[positions.weight], {4, 2}, {3, 3, 3, 3, 0, 0, 0, 0});
  check_values(g[x], {3, 2, 2}, std::vector<double>(12, 1));
  check_values(positions(x, 2).value(), {3, 2, 2}, {6, 7, 8, 9, 6, 7, 8, 9, 6, 7, 8, 9});
  BOOST_TEST(error_of([&] { positions(x, 3); }) ==
             "model.positions: positions: 5 time steps, but the table was made for at most 4");
}

BOOST_AUTO_TEST_CASE(a_tied_weight_gathers_the_gradients_of_both_uses) {
  Seq2SeqOptions options = test::small_options();
  const Seq2Seq apart(scope / "apart", options);
  options.tie_embeddings = true;
  const Seq2Seq tied_model(scope / "tied", options);
  BOOST_TEST((params.find("model.tied.generator.weight") == tied_model.tgt_emb.weight));
  BOOST_TEST((tied_model.generator.weight == tied_model.tgt_emb.weight));
  const std::string prefix = "model.tied";
  for (const Parameter& p : params)
    if (p.path().starts_with(prefix))
      params.at("model.apart" + p.path().substr(prefix.size())).assign(p.value());
  apart.generator.weight.assign(tied_model.tgt_emb.weight.value());
  const Seq2SeqBatch batch = test::shards_of(3, 4, 4, 1, 8)[0];  // no padding
  const Var a = apart.loss_sum(tape, batch), b = tied_model.loss_sum(tape, batch);
  BOOST_TEST(a.item() == b.item());
  const Gradients ga = tape.backward(a), gb = tape.backward(b);
  Tensor both = ga[apart.tgt_emb.weight].clone();
  both.array<double>() += ga[apart.generator.weight].array<double>();
  BOOST_TEST(test::difference({gb[tied_model.tgt_emb.weight].clone()}, {both}) < 1e-14);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
