// Mistakes are told with the module's path and the values.
#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;

struct Fixture {
  ParameterStore params;
  Transformer model{params.root() / "model", test::small_options().transformer};
  Tape tape;
  Var source = tape.constant(Tensor({2, 4, 8})), target = tape.constant(Tensor({2, 3, 8}));
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(nn_errors, Fixture)

BOOST_AUTO_TEST_CASE(heads_that_do_not_divide_the_width) {
  ParameterStore empty;
  TransformerOptions options = test::small_options().transformer;
  options.nhead = 3;
  BOOST_TEST(error_of([&] { Transformer(empty.root() / "big", options); }) ==
             "big.encoder.layers.0.self_attn: 3 heads do not divide d_model = 8; take a divisor of 8");
  BOOST_TEST(error_of([&] { MultiHeadAttention(empty.root(), 8, 16); }) ==
             "MultiHeadAttention: 16 heads do not divide d_model = 8; take a divisor of 8");
  BOOST_TEST(error_of([&] { MultiHeadAttention(empty.root(), 8, 0); }) ==
             "MultiHeadAttention: 0 heads do not divide d_model = 8; take a divisor of 8");
  BOOST_TEST(empty.size() == 0u);
}

BOOST_AUTO_TEST_CASE(transformer_options_out_of_range) {
  ParameterStore empty;
  TransformerOptions options = test::small_options().transformer;
  options.dropout = 1;
  BOOST_TEST(error_of([&] { Transformer(empty.root(), options); }) ==
             "Transformer: dropout 1 is not in [0, 1)");
  options.dropout = 0;
  options.num_decoder_layers = -1;
  BOOST_TEST(error_of([&] { Transformer(empty.root(), options); }) ==
             "Transformer: d_model 8, nhead 2 and dim_feedforward 12 must be positive, layers (2 and -1) not "
             "negative");
  BOOST_TEST(empty.size() == 0u);
}

BOOST_AUTO_TEST_CASE(masks_of_the_wrong_shape) {
  const Mask wrong = Mask::keep(Tensor({3, 5}, DType::boolean));
  const auto text = [](const char* place, const char* attended) {
    return fmt::format(
        "model.{}: attention: mask of shape [3, 5] does not broadcast to [batch, heads, query, key] = {}; a "
        "mask is [query, key] or of rank 4, with extents of 1 where it repeats",
        place, attended);
  };
  BOOST_TEST(error_of([&] { model(source, target, TransformerMasks{.source = wrong}); }) ==
             text("encoder.layers.0.self_attn", "[2, 2, 4, 4]"));
  BOOST_TEST(error_of([&] { model(source, target, TransformerMasks{.target = wrong}); }) ==
             text("decoder.layers.0.self_attn", "[2, 2, 3, 3]"));
  BOOST_TEST(error_of([&] { model(source, target, TransformerMasks{.memory = wrong}); }) ==
             text("decoder.layers.0.multihead_attn", "[2, 2, 3, 4]"));
  BOOST_TEST(error_of([&] {
               model(source, target, TransformerMasks{.memory = Mask::from_lengths(Tensor::ids({1, 2, 3}))});
             }) ==
             "model.decoder.layers.0.multihead_attn: attention: mask with lengths of 3 examples does not fit "
             "[batch, heads, "
             "query, key] = [2, 2, 3, 4]");
  BOOST_TEST(error_of([&] {
               model(source, target, TransformerMasks{.source = Mask::from_lengths(Tensor::ids({4, 5}))});
             }) ==
             "model.encoder.layers.0.self_attn: attention: mask length 5 of example 1 is larger than the "
             "number of keys, 4");
  BOOST_TEST(model(source, target).value().size() == 48);  // the tape is still usable
}

BOOST_AUTO_TEST_CASE(an_id_out_of_range) {
  const Seq2Seq network(params.root() / "net", test::small_options());
  Seq2SeqBatch batch = test::shards_of(2, 3, 3, 1, 1)[0];
  batch.source = Tensor::ids({{3, 4, 5}, {6, 7, 11}});
  BOOST_TEST(error_of([&] { network(tape, batch); }) ==
             "net.src_emb: embedding: id 11 at position [1, 2] is out of range for 11 rows");
  batch.source = Tensor::ids({{3, -1, 5}, {6, 7, 10}});
  BOOST_TEST(error_of([&] { network(tape, batch); }) ==
             "net.src_emb: embedding: id -1 at position [0, 1] is out of range for 11 rows");
  batch.source = Tensor::ids({{3, 4, 5}, {6, 7, 10}});
  batch.target_in = Tensor::ids({{3, 4, 5}, {13, 7, 10}});
  BOOST_TEST(error_of([&] { network(tape, batch); }) ==
             "net.tgt_emb: embedding: id 13 at position [1, 0] is out of range for 13 rows");
}

BOOST_AUTO_TEST_CASE(widths_that_do_not_fit) {
  const Linear head(params.root() / "head", 4, 3);
  BOOST_TEST(
      error_of([&] {
        head(tape.constant(Tensor({2, 5})));
      }) ==
      "head: linear: x [2, 5] and weight [3, 4] do not fit: weight is [out, in], so x's last axis must be 4");
  const Var narrow = tape.constant(Tensor({2, 4, 6}));
  BOOST_TEST(error_of([&] { model.decoder(target, narrow); }) ==
             "model.decoder.layers.0.multihead_attn: MultiHeadAttention: key [2, 4, 6] and in_proj_weight "
             "[24, 8] do not fit: key must be [batch, time, kdim] with kdim = 8, or without batch");
  BOOST_TEST(error_of([&] {
               model.decoder(target, tape.constant(Tensor({3, 4, 8})));
             }) ==
             "model.decoder.layers.0.multihead_attn: MultiHeadAttention: query [2, 3, 8], key [3, 4, 8] and "
             "value [3, 4, 8] differ in the extent of axis 0, batch, or in rank: all are [batch, time, "
             "width], or all without batch");
  const LayerNorm norm(params.root() / "norm", 4);
  BOOST_TEST(
      error_of([&] { norm(narrow); }) ==
      "norm: layer_norm: weight of shape [4] does not fit the last axis of x [2, 4, 6]; it must be [6]");
}

BOOST_AUTO_TEST_CASE(positions_that_do_not_fit) {
  const SinusoidalPositions fixed(params.root() / "fixed", 3, 8);
  const LearnedPositions learned(params.root() / "learned", 3, 8);
  BOOST_TEST(error_of([&] { fixed(source); }) ==
             "fixed: positions: 4 time steps, but the table was made for at most 3");
  BOOST_TEST(error_of([&] { learned(source); }) ==
             "learned: positions: 4 time steps, but the table was made for at most 3");
  BOOST_TEST(error_of([&] {
               learned(tape.constant(Tensor({2, 3, 7})));
             }) == "learned: positions: x must be [.., time, 8], got [2, 3, 7]");
  BOOST_TEST(learned(target).size() == 48);  // exactly as long as the table
}

BOOST_AUTO_TEST_CASE(stale_and_foreign_values) {
  Tape other;
  const Var foreign = other.constant(Tensor({2, 4, 8})), before = source;
  BOOST_TEST(error_of([&] { model(source, foreign); }) ==
             "model.decoder.layers.0.multihead_attn: MultiHeadAttention: query [2, 4, 8], key [2, 4, 8] and "
             "value [2, 4, 8] were recorded on different tapes; all must be on one tape");
  tape.reset();
  BOOST_TEST(
      error_of([&] { model(before, before); }) ==
      "layer: this value is stale, its tape was reset (or rewound) after it was recorded; record it again");
}

BOOST_AUTO_TEST_CASE(batches_that_do_not_fit) {
  const test::Rows two(2), three(3), none;
  BOOST_TEST(error_of([&] { make_batch(two, three, 1, 2); }) == "make_batch: 2 sources and 3 targets");
  BOOST_TEST(error_of([&] { make_source_batch(none); }) ==
             "make_batch: 0 source rows, at least one is needed");
  const std::vector<std::vector<Index>> good = {{3, 4}, {5}}, padded = {{3, 4}, {5, 6, 0}};
  BOOST_TEST(error_of([&] { make_batch(padded, good, 1, 2); }) ==
             "make_batch: source row 1 holds the padding id 0 at position 2");
  BOOST_TEST(error_of([&] { make_batch(good, padded, 1, 2); }) ==
             "make_batch: target row 1 holds the padding id 0 at position 2");
  BOOST_TEST(error_of([&] { make_batch(good, good, 0, 2); }) ==
             "make_batch: the padding id 0 is bos or eos, too; it must be an id of its own");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
