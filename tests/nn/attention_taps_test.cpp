// Taps inside of attention: values and gradients of every head, as the definition has them, and without a
// trace in anything else.
#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/backward/tap_values.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/attention.h>
#include <tests/support/op_checks.h>
#include <tests/support/small_seq2seq.h>

using namespace tapegrad;
using namespace tapegrad::nn;
using op_checks::distance;

namespace {

constexpr Index heads = 2, width = 6;
constexpr double rate = 0.3;

struct Setting {
  const char* label;
  Index batch, query, key;
  Mask mask;
  bool self = false;
};

/// Sizes for queries in lanes, tiles and a few rows, forward and backward.
std::vector<Setting> settings() {
  const auto lengths = [](Index a, Index b) { return Mask::from_lengths(Tensor::ids({a, b})); };
  Tensor keep = Tensor::full({2, 9}, 1, DType::boolean);
  keep.data<std::uint8_t>()[3] = keep.data<std::uint8_t>()[16] = 0;
  return {{"self", 2, 7, 7, {}, true},
          {"causal", 2, 9, 9, Mask::causal(), true},
          {"causal and padding", 2, 21, 21, Mask::causal() & lengths(21, 8), true},
          {"padding", 2, 9, 9, Mask::keys(keep), true},
          {"a sentence without words", 2, 6, 6, lengths(0, 4), true},
          {"cross", 2, 5, 8, lengths(8, 3)},
          {"few queries", 2, 3, 5, {}},
          {"long", 1, 70, 70, Mask::causal(), true},
          {"long cross", 2, 30, 140, lengths(140, 77)}};
}

struct Mha {
  ParameterStore params;
  MultiHeadAttention layer;
  explicit Mha(DType dtype, const MultiHeadAttentionOptions& options = {.dropout = rate})
      : params(5, dtype), layer(params.root() / "mha", width, heads, options) {
    test::shake(params, 0.5);
  }
};

struct Inputs {
  Var query, key;
  Inputs(Tape& tape, const Setting& s)
      : query(tape.variable(sample_values({s.batch, s.query, width}, -2, 2, 1).to(tape.dtype()))),
        key(s.self ? query
                   : tape.variable(sample_values({s.batch, s.key, width}, -2, 2, 2).to(tape.dtype()))) {}
};

Var weighed(const Var& x, std::uint64_t key) {
  return sum(x * x.tape().constant(sample_values(x.shape(), -1, 1, key).to(x.dtype())));
}

const Var& tapped(Tape& tape, std::string_view name) {
  for (const Tap& tap : tape.observers().collected())
    if (tap.name == name) return tap.value;
  throw Error(fmt::format("no tap {}", name));
}

/// A run: the loss, gradients of inputs and parameters, and the tapped values.
struct Run {
  std::vector<Tensor> results;
  std::vector<TapValue> taps;

  Run(const Mha& layer, const Setting& s, TapeOptions options, const std::vector<const char*>& watched,
      bool used = false, BackwardOptions backward = {}) {
    options.training = true;
    options.seed = 7;
    Tape tape(options);
    for (const char* pattern : watched) tape.observers().collect(pattern);
    const Inputs in(tape, s);
    const Var y = layer.layer(in.query, in.key, in.key, s.mask);
    Var loss = weighed(y, 3);
    if (used)
      loss = loss + weighed(square(tapped(tape, "mha.weights")), 4) + weighed(tapped(tape, "mha.scores"), 5) +
             sum(square(tapped(tape, "mha.context")));
    results = {loss.value().clone(), y.value().clone()};
    const Gradients g = tape.backward(loss, backward);
    results.push_back(g[in.query].clone());
    if (!s.self) results.push_back(g[in.key].clone());
    for (const Parameter& p : layer.params) results.push_back(g[p].clone());
    if (!backward.consume) taps = tap_values(tape, g);
  }
};

void check_close(const Run& a, const Run& b, double tolerance) {
  for (std::size_t i = 0; i < a.results.size(); ++i)
    BOOST_TEST(distance(a.results[i], b.results[i]) < tolerance, "result " << i);
  BOOST_REQUIRE(a.taps.size() == b.taps.size());
  for (std::size_t i = 0; i < a.taps.size(); ++i) {
    BOOST_TEST(a.taps[i].name == b.taps[i].name);
    BOOST_TEST(a.taps[i].value.shape() == b.taps[i].value.shape(), a.taps[i].name);
    BOOST_TEST(distance(a.taps[i].value, b.taps[i].value) < tolerance, a.taps[i].name);
    BOOST_TEST(static_cast<bool>(a.taps[i].gradient), a.taps[i].name << " has no gradient");
    BOOST_TEST(distance(a.taps[i].gradient, b.taps[i].gradient) < tolerance,
               "gradient of " << a.taps[i].name);
  }
}

/// dL/dx of every element by central differences of `loss`, whose third derivatives are small.
template <class Loss>
Tensor numerical(const Tensor& x, Loss loss) {
  constexpr double h = 1e-4;
  Tensor gradient(x.shape(), DType::f64);
  for (Index i = 0; i < x.size(); ++i) {
    Tensor up = x.clone(), down = x.clone();
    up.data<double>()[i] += h;
    down.data<double>()[i] -= h;
    gradient.data<double>()[i] = (loss(up) - loss(down)) / (2 * h);
  }
  return gradient;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_taps)

BOOST_AUTO_TEST_CASE(values_and_gradients_are_those_of_the_definition) {
  const Mha layer(DType::f64);
  for (const Setting& s : settings())
    for (const bool used : {false, true}) BOOST_TEST_CONTEXT(s.label << (used ? ", used in the loss" : "")) {
        const Run fused(layer, s, {.dtype = DType::f64}, {"mha.*"}, used);
        BOOST_TEST(fused.taps.size() == 6U);
        check_close(fused, Run(layer, s, {.dtype = DType::f64, .fused = false}, {"mha.*"}, used), 1e-12);
        check_close(fused, Run(layer, s, {.dtype = DType::f64, .show_parts = true}, {"mha.*"}, used), 1e-12);
        check_close(fused, Run(layer, s, {.dtype = DType::f64}, {"mha.*"}, used, {.create_graph = true}),
                    1e-12);
        const std::vector<const char*> watched = {"*.scores", "*.weights", "*.context"};  // in one packed op
        check_close(Run(layer, s, {.dtype = DType::f64}, watched, used),
                    Run(layer, s, {.dtype = DType::f64, .fused = false}, watched, used), 1e-12);
      }
}

BOOST_AUTO_TEST_CASE(gradients_match_numerical_derivatives) {
  const Mha layer(DType::f64);
  for (const Setting& s : settings()) {
    if (s.query > 10) continue;
    BOOST_TEST_CONTEXT(s.label) {
      const Run run(layer, s, {.dtype = DType::f64}, {"*.value", "*.scores", "*.weights", "*.context"});
      const Tensor v = run.taps[0].value;
      const Shape cells{s.batch, heads, s.query, s.key};
      // The steps after each tap, with equal draws of dropout.
      const auto after_context = [&](const Var& c) {  // [batch, heads, query, dim]
        return weighed(layer.layer.out_proj(reshape(transpose(c, 1, 2), {s.batch, s.query, width})), 3);
      };
      const auto after_weights = [&](const Var& p) {
        return after_context(matmul(dropout_with(p, rate, random_key(7, 0, 0, 0)), p.tape().constant(v)));
      };
      const auto loss = [&](auto after) {
        return [&, after](const Tensor& x) {
          Tape tape({.dtype = DType::f64});
          return after(tape.variable(x)).item();
        };
      };
      const auto after_scores = [&](const Var& a) { return after_weights(masked_softmax(a, s.mask)); };
      const auto check = [&](const TapValue& tap, const Shape& shape, auto after) {
        BOOST_TEST(tap.value.shape() == shape, tap.name);
        BOOST_TEST(loss(after)(tap.value) == run.results[0].item(), boost::test_tools::tolerance(1e-12));
        BOOST_TEST(distance(tap.gradient, numerical(tap.value, loss(after))) < 1e-6, tap.name);
      };
      check(run.taps[1], cells, after_scores);
      check(run.taps[2], cells, after_weights);
      check(run.taps[3], {s.batch, heads, s.query, width / heads}, after_context);
    }
  }
}

BOOST_AUTO_TEST_CASE(looking_changes_no_bit) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Mha layer(dtype);
    for (const Setting& s : settings())
      for (const bool consume : {false, true}) BOOST_TEST_CONTEXT(s.label) {
          const Run plain(layer, s, {.dtype = dtype}, {}, false, {.consume = consume});
          for (const std::vector<const char*>& watched : {std::vector<const char*>{"*"},
                                                          {"*.scores"},
                                                          {"*.weights"},
                                                          {"*.context"},
                                                          {"*.key"},
                                                          {"*.scores", "*.weights", "*.context"}}) {
            const Run seen(layer, s, {.dtype = dtype}, watched, false, {.consume = consume});
            for (std::size_t i = 0; i < plain.results.size(); ++i)
              BOOST_TEST(identical(plain.results[i], seen.results[i]), watched[0] << ", result " << i);
          }
        }
  }
}

// A bias and a loss of the weights take the backward pass row by row.
BOOST_AUTO_TEST_CASE(looking_changes_no_bit_of_the_op) {
  const Mask mask =
      Mask::causal() & Mask::keys(Tensor::of({{1, 0, 1, 1, 1, 0}, {1, 1, 1, 1, 0, 1}}, DType::boolean));
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool weights : {false, true}) {
      std::vector<Tensor> first;
      for (const bool look : {false, true}) {
        Tape tape({.dtype = dtype, .training = true, .seed = 3});
        const auto variable = [&](const Shape& shape, std::uint64_t key) {
          return tape.variable(sample_values(shape, -2, 2, key).to(dtype));
        };
        const Var q = variable({2, 3, 6, 4}, 1), k = variable({2, 3, 6, 4}, 2), v = variable({2, 3, 6, 5}, 3),
                  bias = variable({3, 1, 6}, 4);
        AttentionOptions options{.mask = mask, .bias = bias, .dropout = 0.4, .scores = look};
        AttentionResult r;
        if (look || weights)
          r = attention_with_weights(q, k, v, options);
        else
          r.context = attention(q, k, v, options);
        Var loss = weighed(r.context, 5);
        if (weights) loss = loss + weighed(square(r.weights), 6);
        const Gradients g = tape.backward(loss);
        std::vector<Tensor> found;
        for (const Var& x : {q, k, v, bias}) found.push_back(g[x].clone());
        for (std::size_t i = 0; look && i < found.size(); ++i) BOOST_TEST(identical(first[i], found[i]));
        first = found;
      }
    }
}

// Each alone, so that no other cotangent takes its part.
BOOST_AUTO_TEST_CASE(a_loss_may_depend_on_one_result_alone) {
  for (int which = 0; which < 3; ++which)
    for (const Mask& mask : {Mask::none(), Mask::causal(-1)}) {
      std::vector<Tensor> expected;
      for (const bool fused : {false, true}) {
        Tape tape({.dtype = DType::f64, .training = true, .fused = fused, .seed = 3});
        const auto variable = [&](const Shape& shape, std::uint64_t key) {
          return tape.variable(sample_values(shape, -2, 2, key));
        };
        const Var q = variable({2, 3, 5, 4}, 1), k = variable({2, 3, 5, 4}, 2), v = variable({2, 3, 5, 3}, 3),
                  bias = variable({2, 1, 5, 5}, 4);
        const AttentionResult r = attention_with_weights(
            q, k, v, {.mask = mask, .bias = bias, .scale = 0.7, .dropout = 0.4, .scores = true});
        const Gradients g = tape.backward(weighed(which == 0   ? r.context
                                                  : which == 1 ? r.weights
                                                               : r.scores,
                                                  5));
        std::vector<Tensor> found{r.scores.value().clone()};
        for (const Var& x : {q, k, v, bias, r.weights, r.scores})
          found.push_back(g.contains(x) ? g[x].clone() : Tensor());
        for (std::size_t i = 0; fused && i < found.size(); ++i)
          BOOST_TEST(distance(found[i], expected[i]) < 1e-12, which << ", gradient " << i);
        expected = found;
      }
    }
}

BOOST_AUTO_TEST_CASE(every_score_and_every_width_has_taps) {
  for (const Score score : {Score::scaled_dot, Score::dot, Score::cosine, Score::negative_distance})
    for (const bool self : {true, false}) {
      const Mha layer(DType::f64, {.dropout = rate, .score = score, .kdim = self ? width : 4});
      const auto run = [&](const TapeOptions& options) {
        Tape tape(options);
        tape.observers().collect("*");
        const Var x = tape.variable(sample_values({5, width}, -2, 2, 1)),
                  memory = self ? x : tape.variable(sample_values({5, 4}, -2, 2, 2));
        const Var y = layer.layer(x, memory, x, Mask::causal());
        return tap_values(tape, tape.backward(weighed(y, 3)));
      };
      const std::vector<TapValue> taps = run({.dtype = DType::f64, .training = true, .seed = 7}),
                                  expected =
                                      run({.dtype = DType::f64, .training = true, .fused = false, .seed = 7}),
                                  parts = run(
                                      {.dtype = DType::f64, .training = true, .show_parts = true, .seed = 7});
      BOOST_REQUIRE(taps.size() == 6U);
      for (std::size_t i = 0; i < taps.size(); ++i)
        for (const auto* other : {&expected, &parts}) {
          BOOST_TEST(distance(taps[i].value, (*other)[i].value) < 1e-12, taps[i].name);
          BOOST_TEST(distance(taps[i].gradient, (*other)[i].gradient) < 1e-12, taps[i].name);
        }
    }
}

BOOST_AUTO_TEST_CASE(taps_in_a_checkpoint_are_the_same) {
  const Mha layer(DType::f32);
  for (const Setting& s : settings())
    for (const bool used : {false, true}) BOOST_TEST_CONTEXT(s.label) {
        std::vector<TapValue> first;
        for (const bool saving : {false, true}) {
          Tape tape({.training = true, .seed = 7});
          tape.observers().collect("*");
          const Inputs in(tape, s);
          const auto attend = [&](const Var& q, const Var& k) { return layer.layer(q, k, k, s.mask); };
          const Var y = saving ? checkpoint(attend, in.query, in.key) : attend(in.query, in.key);
          Var loss = weighed(y, 3);
          if (used) loss = loss + weighed(tapped(tape, "mha.scores"), 4);
          const std::vector<TapValue> found = tap_values(tape, tape.backward(loss));
          BOOST_TEST(found.size() == 6U);
          for (std::size_t i = 0; saving && i < found.size(); ++i) {
            BOOST_TEST(found[i].name == first[i].name);
            BOOST_TEST(identical(found[i].value, first[i].value), found[i].name);
            BOOST_TEST(identical(found[i].gradient, first[i].gradient), found[i].name);
          }
          first = found;
        }
      }
}

BOOST_AUTO_TEST_CASE(a_whole_model_is_tapped_by_name) {
  for (const bool saving : {false, true}) {
    ParameterStore params(3);
    Seq2SeqOptions options = test::small_options(0.2);
    options.transformer.checkpoint = saving;
    const Seq2Seq model(params.root(), options);
    const Seq2SeqBatch batch = test::shards_of(3, 4, 9, 1, 6)[0];
    Tape plain({.training = true, .seed = 4}), seen({.training = true, .seed = 4});
    for (const char* name : {"scores", "weights", "context"})
      seen.observers().collect(fmt::format("*decoder.layers.1.multihead_attn.{}", name));
    const Var a = model.loss_sum(plain, batch), b = model.loss_sum(seen, batch);
    BOOST_TEST(identical(a.value(), b.value()));
    const Gradients f = plain.backward(a), g = seen.backward(b);
    for (const Parameter& p : params) BOOST_TEST(identical(f[p], g[p]), p.path());
    const std::vector<TapValue> taps = tap_values(seen, g);
    BOOST_REQUIRE(taps.size() == 3U);
    for (const TapValue& tap : taps) {
      BOOST_TEST(tap.name.find("decoder.layers.1.multihead_attn.") != std::string::npos);
      BOOST_TEST(tap.value.rank() == 4);
      BOOST_TEST(tap.value.shape()[1] == 2);
      BOOST_TEST(static_cast<bool>(tap.gradient));
    }
  }
}

/// Stale gradients are a mistake even where a reset left nothing tapped.
BOOST_AUTO_TEST_CASE(stale_gradients_throw) {
  Tape tape;
  tape.observers().collect("*");
  const Gradients g = tape.backward(sum(tape.variable({1, 2})));
  BOOST_TEST(tap_values(tape, g).empty());
  tape.reset();
  BOOST_CHECK_EXCEPTION(tap_values(tape, g), Error, [](const Error& e) {
    return std::string(e.what()) ==
           "tap_values: stale Gradients, their tape was reset (or a later step began) after the backward "
           "pass";
  });
}

BOOST_AUTO_TEST_SUITE_END()
