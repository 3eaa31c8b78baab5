// Layers under random masks that leave rows without keys: nothing of a masked position arrives anywhere, all
// stays finite, and every way to compute agrees.
#include "random_masks.h"

#include <tapegrad/nn/transformer.h>
#include <tests/support/small_seq2seq.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <set>

namespace tapegrad {
using namespace nn;
namespace {

using test::Call;
using test::Inputs;
using test::MaskedCase;
using test::Outcome;
using test::Route;
using test::routes;

/// A layer's parameters, inputs and cotangents; the call refers to its layer.
struct Network {
  ParameterStore params{3, DType::f64};
  Inputs inputs, cotangents;
  Call call;

  Outcome run(const Route& route, DType dtype) const {
    return test::run(route, dtype, call, inputs, cotangents, &params);
  }
  Outcome run() const { return run(routes[0], DType::f64); }

  /// Checks that outcomes are finite and equal in every way, f32 near f64; `also` checks every outcome.
  /// Second derivatives carry the rounding of two passes.
  void check_agreement(const std::function<void(const Outcome&)>& also = {}) const {
    Outcome exact;
    for (const DType dtype : {DType::f64, DType::f32}) {
      const Outcome first = test::check_routes(
          dtype, dtype == DType::f64 ? 1e-12 : 5e-6, false,
          [&](const Route& route) { return run(route, dtype); },
          [&](const Route&, const Outcome& o) {
            BOOST_TEST(test::all_finite(o), "not finite");
            if (also) also(o);
          });
      if (dtype == DType::f64) exact = first;
      const double rounding = test::difference_of(first.gradients, exact.gradients);
      BOOST_TEST(rounding <= 2e-6);
    }
  }
};

/// [batch, time] that are dead (or unseen) in every head of the mask.
std::set<Index> in_every_head(const MaskedCase& m, Index time, bool (MaskedCase::*masked)(Index) const) {
  std::set<Index> result;
  for (Index b = 0; b < m.batch; ++b)
    for (Index t = 0; t < time; ++t) {
      bool every = true;
      for (Index h = 0; h < m.heads; ++h) every &= (m.*masked)((b * m.heads + h) * time + t);
      if (every) result.insert(b * time + t);
    }
  return result;
}
std::set<Index> dead_queries(const MaskedCase& m) { return in_every_head(m, m.query, &MaskedCase::dead); }
std::set<Index> unseen_keys(const MaskedCase& m) { return in_every_head(m, m.key, &MaskedCase::unseen); }

/// Rows of a matrix [rows, width].
bool zero_row(const Tensor& x, Index row) { return test::zeros(x, row * x.shape().cols(), x.shape().cols()); }
void scramble_row(Tensor& x, Index row) { test::scramble(x, row * x.shape().cols(), x.shape().cols()); }
std::vector<double> row_of(const Tensor& x, Index row) {
  const Index width = x.shape().cols();
  return dispatch(x.dtype(), [&](auto zero) {
    const auto* first = x.data<decltype(zero)>() + row * width;
    return std::vector<double>(first, first + width);
  });
}

Tensor random(const Shape& shape, std::uint64_t key) { return sample_values(shape, -1, 1, key); }
/// Rows of which no layer norm sees nearly equal numbers, by whose small deviation it would divide rounding
/// errors: between 0.5 and 1.5 in turns above and below 0, in each row from another sign on.
Tensor spread(const Shape& shape, std::uint64_t key) {
  Tensor x = sample_values(shape, 0.5, 1.5, key);
  test::Draws draws(key);
  double* first = x.data<double>();
  for (Index row = 0; row < shape.rows(); ++row) {
    double sign = draws.chance(0.5) ? 1 : -1;
    for (Index i = 0; i < shape.cols(); ++i, sign = -sign) *first++ *= sign;
  }
  return x;
}

/// Keeps the output of sublayers small against the residual, so that the sum is spread, too.
void halve_matrices(const ParameterStore& params) {
  for (const Parameter& p : params)
    if (p.shape().rank() == 2)
      p.update([](Tensor& values) {
        for (Index i = 0; i < values.size(); ++i) values.data<double>()[i] *= 0.5;
      });
}

TransformerOptions small(test::Draws& draws, Index d_model, Index heads) {
  return {.d_model = d_model,
          .nhead = heads,
          .num_encoder_layers = 1,
          .num_decoder_layers = 2,
          .dim_feedforward = 5,
          .dropout = 0,
          .activation = Activation::gelu,
          .norm_first = draws.chance(0.5),
          .bias = draws.chance(0.7)};
}

/// A MultiHeadAttention, over three inputs or over one.
struct Attending : Network {
  MaskedCase masked;
  MultiHeadAttention layer;

  Attending(std::uint64_t seed, Score score) : Attending(seed, score, test::Draws(seed + 1)) {}
  // A cosine divides by lengths, and vectors of two or three elements are often short.
  Attending(std::uint64_t seed, Score score, test::Draws draws)
      : masked(seed),
        layer{params.root() / "mha",
              masked.heads * (score == Score::cosine ? draws.between(6, 8) : draws.between(2, 4)),
              masked.heads,
              {.bias = draws.chance(0.7), .score = score}} {
    test::shake(params);
    const Index width = layer.out_proj.weight.shape()[0];
    const auto& [b, h, q, k, mask, allowed] = masked;
    inputs = {random({b, q, width}, seed + 2), random({b, k, width}, seed + 3),
              random({b, k, width}, seed + 4)};
    cotangents = {random({b, q, width}, seed + 5), random({b, h, q, k}, seed + 6)};
    call = [this](const std::vector<Var>& in) {
      const AttentionResult r = layer(in[0], in[1], in[2], masked.mask, {.need_weights = true});
      return VarList{r.context, r.weights};
    };
  }

  void check_zeros(const Outcome& o) const {
    const Tensor bias =
        (layer.out_proj.bias ? layer.out_proj.bias.value() : Tensor({inputs[0].shape().cols()}, DType::f64))
            .to(o.values[0].dtype());
    const bool recorded = !o.gradients.empty();
    for (const Index row : dead_queries(masked)) {
      BOOST_TEST(row_of(o.values[0], row) == bias.to_vector(), boost::test_tools::per_element());
      if (recorded) BOOST_TEST(zero_row(o.gradients[0], row), "dquery of row " << row);
      if (!o.second.empty()) BOOST_TEST(zero_row(o.second[0], row), "ddquery of row " << row);
    }
    for (Index row = 0; row < masked.rows(); ++row)
      if (masked.dead(row)) BOOST_TEST(zero_row(o.values[1], row), "weights of row " << row);
    if (!recorded) return;
    for (const Index row : unseen_keys(masked)) {
      BOOST_TEST(zero_row(o.gradients[1], row), "dkey of row " << row);
      BOOST_TEST(zero_row(o.gradients[2], row), "dvalue of row " << row);
    }
  }

  void check_nothing_passes() {
    const Outcome before = run();
    for (const Index row : dead_queries(masked)) scramble_row(inputs[0], row);
    for (const Index row : unseen_keys(masked)) {
      scramble_row(inputs[1], row);
      scramble_row(inputs[2], row);
    }
    const Outcome after = run();
    BOOST_TEST(test::equal_numbers(after.values, before.values), "a masked input changes a value");
    BOOST_TEST(test::equal_numbers(after.gradients, before.gradients), "a masked input changes a gradient");
  }
};

void check_attention(Score score, std::uint64_t count) {
  test::for_seeds(count, [&](std::uint64_t seed) {
    Attending a(seed, score);
    a.check_agreement([&](const Outcome& o) { a.check_zeros(o); });
    a.check_nothing_passes();

    // A tap on the weights changes no bit.
    const Tensor with = a.run().values[0];
    for (const bool tapped : {false, true}) {
      a.call = [&](const std::vector<Var>& in) {
        if (tapped) in[0].tape().observers().collect("mha.weights");
        const Var y = a.layer(in[0], in[1], in[2], a.masked.mask);
        if (!tapped) return VarList{y};
        return VarList{y, in[0].tape().observers().collected().at(0).value};
      };
      const Outcome o = a.run();
      BOOST_TEST(identical(o.values[0], with));
      if (tapped) a.check_zeros(o);
    }
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(masked_layers)

BOOST_AUTO_TEST_CASE(multi_head_attention) { check_attention(Score::scaled_dot, 1000); }
BOOST_AUTO_TEST_CASE(multi_head_attention_of_other_scores) {
  for (const Score score : {Score::dot, Score::cosine, Score::negative_distance}) check_attention(score, 100);
}

BOOST_AUTO_TEST_CASE(self_attention) {
  test::for_seeds(300, [](std::uint64_t seed) {
    test::Draws draws(seed);
    const Index heads = draws.between(1, 3), time = draws.between(1, 9);
    const MaskedCase m(seed, draws.between(1, 3), heads, time, time);
    Network n;
    const MultiHeadAttention layer(n.params.root(), 4 * heads, heads);
    n.inputs = {random({m.batch, time, 4 * heads}, seed)};
    n.cotangents = {random(n.inputs[0].shape(), seed + 1)};
    n.call = [&](const std::vector<Var>& in) { return VarList{layer(in[0], in[0], in[0], m.mask)}; };
    n.check_agreement();
    const Outcome before = n.run();
    for (const Index row : dead_queries(m)) {
      BOOST_TEST(zero_row(before.values[0], row));  // biases start at 0
      if (unseen_keys(m).contains(row)) BOOST_TEST(zero_row(before.gradients[0], row));
    }
  });
}

BOOST_AUTO_TEST_CASE(encoder_layers) {
  test::for_seeds(200, [](std::uint64_t seed) {
    test::Draws draws(seed);
    const Index heads = draws.between(1, 3), time = draws.between(1, 9), width = heads * draws.between(4, 6);
    const MaskedCase m(seed, draws.between(1, 3), heads, time, time);
    Network n;
    const EncoderLayer layer(n.params.root(), small(draws, width, heads));
    test::shake(n.params);
    n.inputs = {spread({m.batch, time, width}, seed)};
    n.cotangents = {random(n.inputs[0].shape(), seed + 1)};
    n.call = [&](const std::vector<Var>& in) { return VarList{layer(in[0], m.mask)}; };
    n.check_agreement();
    // A row without keys sees itself alone, by the residuals; one that none sees is seen by none.
    const Outcome before = n.run();
    const std::set<Index> dead = dead_queries(m), unseen = unseen_keys(m);
    const auto changed = [&](auto&& rows_that_change) {
      Network other;
      other.inputs = {n.inputs[0].clone()};
      for (Index row = 0; row < m.batch * time; ++row)
        if (rows_that_change(row)) scramble_row(other.inputs[0], row);
      return test::run(routes[4], DType::f64, n.call, other.inputs, n.cotangents, &n.params).values[0];
    };
    const Tensor all_but_dead = changed([&](Index row) { return !dead.contains(row); });
    for (const Index row : dead) BOOST_TEST(row_of(all_but_dead, row) == row_of(before.values[0], row));
    const Tensor none_seen = changed([&](Index row) { return unseen.contains(row); });
    for (Index row = 0; row < m.batch * time; ++row)
      if (!unseen.contains(row)) BOOST_TEST(row_of(none_seen, row) == row_of(before.values[0], row));
  });
}

BOOST_AUTO_TEST_CASE(decoder_layers_over_masked_memory) {
  test::for_seeds(200, [](std::uint64_t seed) {
    test::Draws draws(seed);
    const Index heads = draws.between(1, 3), width = heads * draws.between(4, 6), batch = draws.between(1, 3),
                target = draws.between(1, 9), source = draws.between(0, 9);
    const MaskedCase self(seed, batch, heads, target, target), memory(seed + 1, batch, heads, target, source);
    Network n;
    const DecoderLayer layer(n.params.root(), small(draws, width, heads));
    test::shake(n.params);
    n.inputs = {spread({batch, target, width}, seed), spread({batch, source, width}, seed + 1)};
    n.cotangents = {random({batch, target, width}, seed + 2)};
    n.call = [&](const std::vector<Var>& in) { return VarList{layer(in[0], in[1], self.mask, memory.mask)}; };
    n.check_agreement();
    const Outcome before = n.run(), twice = n.run(routes[6], DType::f64);
    for (const Index row : unseen_keys(memory)) {
      BOOST_TEST(zero_row(before.gradients[1], row), "dmemory of row " << row);
      BOOST_TEST(zero_row(twice.second[1], row), "ddmemory of row " << row);
      scramble_row(n.inputs[1], row);
    }
    const Outcome after = n.run();
    BOOST_TEST(test::equal_numbers(after.values, before.values), "masked memory changes a value");
    BOOST_TEST(test::equal_numbers(after.gradients, before.gradients), "masked memory changes a gradient");
  });
}

BOOST_AUTO_TEST_CASE(transformers) {
  test::for_seeds(200, [](std::uint64_t seed) {
    test::Draws draws(seed);
    const Index heads = draws.between(1, 3), width = heads * draws.between(4, 6), batch = draws.between(1, 3),
                target = draws.between(1, 7), source = draws.between(1, 7);
    const MaskedCase of_source(seed, batch, heads, source, source),
        of_target(seed + 1, batch, heads, target, target), of_memory(seed + 2, batch, heads, target, source);
    Network n;
    const Transformer layer(n.params.root(), small(draws, width, heads));
    test::shake(n.params);
    halve_matrices(n.params);
    n.inputs = {spread({batch, source, width}, seed), spread({batch, target, width}, seed + 1)};
    n.cotangents = {random({batch, target, width}, seed + 2)};
    n.call = [&](const std::vector<Var>& in) {
      return VarList{layer(in[0], in[1], TransformerMasks{of_source.mask, of_target.mask, of_memory.mask})};
    };
    n.check_agreement();
  });
}

BOOST_AUTO_TEST_CASE(no_source_at_all_is_no_gradient_at_all) {
  for (const bool fused : {true, false}) {
    ParameterStore params{3, DType::f64};
    test::Draws draws(1);
    const Transformer layer(params.root(), small(draws, 8, 2));
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var source = tape.variable(random({2, 3, 8}, 1)), target = tape.variable(random({2, 4, 8}, 2));
    const Mask nothing = Mask::from_lengths(Tensor::ids({0, 0}));
    const Var y = layer(source, target,
                        TransformerMasks{.source = nothing, .target = Mask::causal(), .memory = nothing});
    const Gradients g = tape.backward(y, {.cotangent = random(y.shape(), 3)});
    BOOST_TEST(test::zeros(g[source], 0, source.shape().size()));
    BOOST_TEST(!test::zeros(g[target], 0, target.shape().size()));
    for (const Parameter& p : params)
      if (p.path().starts_with("encoder"))
        BOOST_TEST((!g.contains(p) || test::zeros(g[p], 0, p.shape().size())), p.path());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
