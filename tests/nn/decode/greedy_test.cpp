#include <tapegrad/nn/decode/greedy.h>

#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <set>

namespace tapegrad {
using namespace nn;
namespace {

using test::bos;
using test::eos;
using test::error_of;
using test::Rows;

struct Network {
  ParameterStore params{9};
  Seq2Seq model;

  explicit Network(const Seq2SeqOptions& options = test::small_options(0.1)) : model(params.root(), options) {
    test::shake(params);
    params.at("generator.weight").update([](Tensor& w) { w.array<float>() *= 3; });
  }
  /// Makes `token` likelier; by default the likeliest everywhere.
  void prefer(Index token, float by = 100) const {
    params.at("generator.bias").update([&](Tensor& b) { b.data<float>()[token] = by; });
  }
  Rows decode(const Rows& sources, Index max_length) const {
    Tape tape({.record = false});
    return greedy_decode(model, tape, sources, {.bos = bos, .eos = eos, .max_length = max_length});
  }
};

/// The bytes of rows [row, 0, :] to [row, length - 1, :] of x [batch, time, width].
std::string bytes_of(const Tensor& x, std::size_t row, std::size_t length) {
  const auto width = static_cast<Index>(length) * x.shape()[2];
  const float* begin = x.data<float>() + static_cast<Index>(row) * x.shape()[1] * x.shape()[2];
  std::string bytes(static_cast<std::size_t>(width) * sizeof(float), '\0');
  std::memcpy(bytes.data(), begin, bytes.size());
  return bytes;
}

void check_rows_alone(Index d_model, Index heads, Positions positions, bool norm_first) {
  Seq2SeqOptions options = test::small_options(0.1, d_model, heads);
  options.positions = positions;
  options.transformer.norm_first = norm_first;
  options.transformer.dim_feedforward = 27;
  const Network network(options);
  const Rows sources = test::sentences(9, 1, 20, 11, 3), prefixes = test::sentences(9, 0, 17, 13, 4);
  Tape tape({.record = false}), single({.record = false});
  const Seq2SeqBatch all = make_batch(sources, prefixes, bos, eos);
  const Var memory = network.model.encode(tape, all.source, all.source_mask);
  const Tensor logits = network.model(tape, all).value();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    single.reset();
    const Seq2SeqBatch one = make_batch({&sources[i], 1}, {&prefixes[i], 1}, bos, eos);
    const Tensor alone = network.model.encode(single, one.source, one.source_mask).value();
    BOOST_TEST((bytes_of(alone, 0, sources[i].size()) == bytes_of(memory.value(), i, sources[i].size())),
               "memory of row " << i);
    const Tensor own = network.model(single, one).value();
    BOOST_TEST((bytes_of(own, 0, prefixes[i].size() + 1) == bytes_of(logits, i, prefixes[i].size() + 1)),
               "logits of row " << i);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(greedy)

BOOST_AUTO_TEST_CASE(a_row_alone_has_the_bits_of_the_row_in_a_batch) {
  check_rows_alone(8, 2, Positions::sinusoidal, false);
  check_rows_alone(20, 4, Positions::learned, true);
  check_rows_alone(64, 4, Positions::sinusoidal, false);
}

BOOST_AUTO_TEST_CASE(a_sentence_alone_is_translated_as_in_a_batch) {
  const Network network;
  const Rows sources = test::sentences(20, 1, 15, 11, 6);
  std::set<std::size_t> lengths;  // of outputs, over all networks
  for (float end = 0; end < 8; end += 0.5F) {
    network.prefer(eos, end);
    const Rows together = network.decode(sources, 12);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      BOOST_TEST((network.decode({sources[i]}, 12)[0] == together[i]), "row " << i);
      lengths.insert(together[i].size());
      for (Index id : together[i]) BOOST_TEST(id != eos);
    }
  }
  BOOST_TEST(lengths.size() >= 4u);
}

BOOST_AUTO_TEST_CASE(each_token_is_the_likeliest_after_those_before_it) {
  const Network network;
  const Rows sources = test::sentences(6, 2, 9, 11, 7);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::vector<Index> output = network.decode(sources, 8)[i];
    Tape tape({.record = false});
    const Tensor logits =
        network.model(tape, make_batch({&sources[i], 1}, {&output, 1}, bos, eos, -1)).value();
    for (std::size_t t = 0; t <= output.size() && t < 8; ++t) {
      Index best = 0;
      for (Index id = 1; id < 13; ++id)
        if (logits.at({0, static_cast<Index>(t), id}) > logits.at({0, static_cast<Index>(t), best}))
          best = id;
      BOOST_TEST(best == (t < output.size() ? output[t] : eos));
    }
  }
}

BOOST_AUTO_TEST_CASE(limits) {
  Seq2SeqOptions options = test::small_options();
  options.max_length = 6;
  const Network network(options);
  const Rows sources = {{3, 4}, {5, 6, 7}, {}};
  network.prefer(4);
  for (const Index limit : {1, 3, 6, 100}) {
    const Rows outputs = network.decode(sources, limit);
    const std::vector<Index> fours(static_cast<std::size_t>(std::min<Index>(limit, 6)), 4);
    for (const auto& output : outputs) BOOST_TEST(output == fours, boost::test_tools::per_element());
  }
  const Network ending(options);
  ending.prefer(eos);
  for (const auto& output : ending.decode(sources, 100)) BOOST_TEST(output.empty());
  BOOST_TEST(ending.decode({}, 5).empty());
  BOOST_TEST(ending.decode({{}}, 5)[0].empty());
}

BOOST_AUTO_TEST_CASE(mistakes) {
  const Network network;
  const Rows sources = {{3, 4}};
  Tape recording, training({.training = true, .record = false}), tape({.record = false});
  const std::string expected = "greedy_decode: needs a tape with .record = false that is not training";
  BOOST_TEST(error_of([&] { greedy_decode(network.model, recording, sources); }) == expected);
  BOOST_TEST(error_of([&] { greedy_decode(network.model, training, sources); }) == expected);
  BOOST_TEST(error_of([&] { greedy_decode(network.model, tape, sources, {.max_length = 0}); }) ==
             "greedy_decode: max_length 0 must be at least 1");
  BOOST_TEST(error_of([&] { greedy_decode(network.model, tape, Rows{std::vector<Index>(25, 3)}); }) ==
             "positions: positions: 25 time steps, but the table was made for at most 24");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
