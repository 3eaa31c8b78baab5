#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/nn/decode/beam.h>
#include <tapegrad/nn/decode/next_tokens.h>

#include <tests/support/errors.h>
#include <tests/support/malloc_count.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
namespace {

using test::bos;
using test::eos;
using test::error_of;
using test::Rows;

/// Numbers below a bound, determined by a key.
struct Draws {
  RandomKey key;
  std::uint64_t count = 0;
  Index operator()(Index bound) {
    return static_cast<Index>(uniform01(key, count++) * static_cast<double>(bound));
  }
};

/// A shape of model for every number; together they vary everything that a step runs through.
Seq2SeqOptions options_of(Index number) {
  Draws below{random_key(77, static_cast<std::uint64_t>(number), 0, 0)};
  const Index heads = 1 + below(4), dim = 1 + below(number % 5 == 0 ? 40 : 9);
  Seq2SeqOptions o = test::small_options(0.1, heads * dim, heads);
  o.transformer.num_encoder_layers = below(3);
  o.transformer.num_decoder_layers = below(4);
  o.transformer.dim_feedforward = 1 + below(40);
  o.transformer.activation = below(2) == 0 ? Activation::relu : Activation::gelu;
  o.transformer.norm_first = below(2) == 0;
  o.transformer.bias = below(4) > 0;
  o.positions = below(2) == 0 ? Positions::sinusoidal : Positions::learned;
  o.tie_embeddings = below(3) == 0;
  o.max_length = 40;
  return o;
}

struct Network {
  ParameterStore params;
  Seq2Seq model;

  explicit Network(const Seq2SeqOptions& options, std::uint64_t seed = 5, DType dtype = DType::f32)
      : params(seed, dtype), model(params.root(), options) {
    test::shake(params, 0.3);
  }
};

/// A tape that does not record. With `whole_prefixes` it has a hook, which hears of no layer; that decoding
/// recomputes whole prefixes for it is the reference of the tests here.
struct Decoding {
  Tape tape;
  explicit Decoding(bool whole_prefixes, DType dtype = DType::f32) : tape({.dtype = dtype, .record = false}) {
    if (whole_prefixes) tape.observers().on_value("nothing", [](const std::string&, const Var&) {});
  }
};

/// Runs both forms over equal random tokens and successions of rows, and compares every bit of the logits.
void check_steps(const Network& network, DType dtype, const Rows& sources, Index steps, Draws below) {
  Decoding cached(false, dtype), prefixes(true, dtype);
  NextTokens quick(network.model, cached.tape, sources), reference(network.model, prefixes.tape, sources);
  std::vector<Index> last(sources.size(), bos), parents;
  for (Index step = 0; step < steps && !last.empty(); ++step) {
    BOOST_TEST_REQUIRE(identical(quick.logits(last).clone(), reference.logits(last)), "step " << step);
    parents.clear();
    const auto rows = static_cast<Index>(last.size());
    const Index way = below(4);  // all go on; some are dropped; any order and number; more of them
    for (Index row = 0; row < (way == 3 ? rows + 2 : rows); ++row) {
      if (way == 0) parents.push_back(row);
      if (way == 1 && below(4) > 0) parents.push_back(row);
      if (way >= 2) parents.push_back(below(rows));
    }
    if (parents.empty()) return;
    quick.select(parents);
    reference.select(parents);
    last.resize(parents.size());
    for (Index& token : last) token = below(13);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decoder_cache)

BOOST_AUTO_TEST_CASE(a_step_has_the_bits_of_the_whole_prefix) {
  for (Index number = 0; number < 60; ++number) {
    const DType dtype = number % 3 == 0 ? DType::f64 : DType::f32;
    const Network network(options_of(number), 5, dtype);
    const auto key = static_cast<std::uint64_t>(number);
    BOOST_TEST_CONTEXT("model " << number) {
      check_steps(network, dtype, test::sentences(5, 0, 20, 11, key), 36, {random_key(3, key, 0, 0)});
    }
  }
}

BOOST_AUTO_TEST_CASE(parameters_of_another_dtype) {
  const Network network(options_of(1), 5, DType::f64);
  check_steps(network, DType::f32, test::sentences(3, 1, 9, 11, 8), 20, {random_key(3, 1, 1, 0)});
}

BOOST_AUTO_TEST_CASE(outputs_are_those_of_whole_prefixes) {
  Index sentences = 0, tokens = 0;
  for (Index number = 0; number < 25; ++number) {
    const Network network(options_of(100 + number));
    const Rows sources = test::sentences(40, 0, 12, 11, static_cast<std::uint64_t>(number));
    Decoding cached(false), prefixes(true);
    const Rows outputs = greedy_decode(network.model, cached.tape, sources, {.max_length = 18});
    BOOST_TEST((outputs == greedy_decode(network.model, prefixes.tape, sources, {.max_length = 18})));
    for (std::size_t i = 0; i < sources.size(); ++i) {
      BOOST_TEST(
          (greedy_decode(network.model, cached.tape, {&sources[i], 1}, {.max_length = 18})[0] == outputs[i]));
      tokens += static_cast<Index>(outputs[i].size());
      ++sentences;
    }
  }
  BOOST_TEST(sentences == 1000);
  BOOST_TEST(tokens > 5000);
}

BOOST_AUTO_TEST_CASE(beams_are_those_of_whole_prefixes) {
  for (Index number = 0; number < 12; ++number) {
    const Network one(options_of(200 + number)), two(options_of(300 + number), 6);
    const std::vector<const Seq2Seq*> models = {&one.model, &two.model};
    for (const std::vector<Index>& source :
         test::sentences(6, 0, 9, 11, static_cast<std::uint64_t>(number))) {
      for (const Index beam : {1, 3, 7}) {
        const auto search = [&](bool whole_prefixes) {
          Decoding first(whole_prefixes), second(whole_prefixes);
          const std::vector<Tape*> tapes = {&first.tape, &second.tape};
          return beam_decode(models, tapes, std::vector{source, source}, {.beam = beam, .max_length = 12});
        };
        const Hypothesis found = search(false), expected = search(true);
        BOOST_TEST((found.tokens == expected.tokens && found.score == expected.score));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_a_cache_cannot_serve_is_recomputed) {
  Seq2SeqOptions cosine = options_of(7);
  cosine.transformer.score = Score::cosine;
  const Network network(cosine);
  const Rows sources = test::sentences(4, 1, 9, 11, 3);
  Decoding plain(false), hooked(true);
  const Rows outputs = greedy_decode(network.model, plain.tape, sources, {.max_length = 9});
  BOOST_TEST((outputs == greedy_decode(network.model, hooked.tape, sources, {.max_length = 9})));

  const Network dot(options_of(7));
  Tape definitions({.fused = false, .record = false}), watching({.record = false});
  watching.observers().collect("*.weights");
  Index calls = 0;
  hooked.tape.observers().on_value("transformer.decoder", [&](const std::string&, const Var& x) {
    BOOST_TEST(x.shape()[1] == ++calls);  // the whole prefix
  });
  const Rows expected = greedy_decode(dot.model, plain.tape, sources, {.eos = -1, .max_length = 9});
  for (Tape* tape : {&definitions, &watching, &hooked.tape})
    BOOST_TEST((greedy_decode(dot.model, *tape, sources, {.eos = -1, .max_length = 9}) == expected));
  BOOST_TEST(calls == 9);
}

BOOST_AUTO_TEST_CASE(a_step_allocates_nothing) {
  if (!test::counts_allocations()) return;
  const Network network(options_of(11));
  const Rows sources = test::sentences(4, 5, 9, 11, 2);
  Decoding decoding(false);
  std::vector<Index> last(4, bos), best(4);
  const std::vector<Index> parents = {0, 1, 1, 3};
  for (const bool warm : {false, true}) {
    NextTokens next(network.model, decoding.tape, sources);
    for (Index step = 0; step < 30; ++step) {
      const std::uint64_t before = test::allocation_calls();
      argmax_rows(next.logits(last), best);
      next.select(parents);
      if (warm && step > 0 && step != 16) BOOST_TEST(test::allocation_calls() == before, "step " << step);
    }
  }
}

BOOST_AUTO_TEST_CASE(mistakes) {
  const Network network(options_of(2));
  const Decoder& decoder = network.model.transformer.decoder;
  Tape recording, tape({.record = false});
  const Index d = network.model.options.transformer.d_model;
  const auto memory = [&](Tape& on) { return on.constant(Tensor({2, 3, d})); };
  const std::vector<Index> lengths = {3, 2}, long_ones = {3, 4};
  BOOST_TEST(error_of([&] { decoder.start(memory(tape), std::span(lengths).first(1)); }) ==
             fmt::format("Decoder: memory [2, 3, {}] and 1 lengths, expected [rows, source, d_model] and a "
                         "length for every row",
                         d));
  BOOST_TEST(
      error_of([&] { decoder.start(memory(tape), long_ones); }) ==
      fmt::format("Decoder: memory length 4 is out of range for memory [2, 3, {}]; it must be from 0 to 3",
                  d));
  BOOST_TEST(error_of([&] { decoder.start(memory(recording), lengths); }) ==
             "MultiHeadAttention: steps need a tape with .record = false and .training = false, got true and "
             "false");
  ParameterStore params;
  const MultiHeadAttention wide(params.root() / "wide", 4, 2, {.kdim = 3}),
      cosine(params.root() / "cosine", 4, 2, {.score = Score::cosine});
  BOOST_TEST(error_of([&] {
               wide.precompute_cross_kv(tape.full({1, 2, 3}, 0));
             }) ==
             "MultiHeadAttention: steps need kdim = vdim = d_model, got kdim = 3, vdim = 4 and d_model = 4");
  BOOST_TEST(error_of([&] {
               cosine.precompute_cross_kv(tape.full({1, 2, 4}, 0));
             }) == "MultiHeadAttention: steps need Score::scaled_dot, got Score::cosine");
  DecoderCache cache = decoder.start(memory(tape), lengths);
  BOOST_TEST(error_of([&] { decoder.step(memory(tape), cache); }) ==
             fmt::format("Decoder: step: x is [2, 3, {0}], expected [2, 1, d_model]", d));
  const std::vector<Index> beyond = {0, 2};
  BOOST_TEST(error_of([&] { cache.select(beyond); }) == "DecoderCache: parent 2 is out of range for 2 rows");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
