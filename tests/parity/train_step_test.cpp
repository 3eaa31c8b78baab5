// One whole training step of an encoder-decoder in PyTorch: loss, all gradients, and the weights after Adam.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/seq2seq.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>

#include <tests/parity/golden.h>

namespace tapegrad {
using namespace nn;
using namespace optim;
namespace {

using test::Comparison;
using test::Golden;
using test::Way;

constexpr Index padding = 0, bos = 1, eos = 2;
constexpr double smoothing = 0.1;
const std::vector<std::vector<Index>> sources = {{3, 4, 5, 6, 7, 2}, {8, 3, 3, 2}, {5, 2}};
const std::vector<std::vector<Index>> targets = {{3, 4, 5, 6}, {6, 6}, {4}};

/// The golden model's twin with its weights.
struct Twin {
  explicit Twin(const Golden& golden, DType dtype)
      : params(1, dtype),
        model(params.root() / "model",
              {.source_vocabulary = golden.count("source_vocabulary"),
               .target_vocabulary = golden.count("target_vocabulary"),
               .transformer = {.d_model = golden.count("d_model"),
                               .nhead = golden.count("nhead"),
                               .num_encoder_layers = golden.count("num_encoder_layers"),
                               .num_decoder_layers = golden.count("num_decoder_layers"),
                               .dim_feedforward = golden.count("dim_feedforward"),
                               .dropout = 0},
               .max_length = 8,
               .pad = golden.count("padding_idx")}) {
    BOOST_TEST(params.size() == golden.under("model.").size());
    for (const Parameter& p : params) p.assign(golden.at(p.path()));
  }

  /// After one step of Adam. Its first step divides a gradient by its own size, which magnifies the rounding
  /// of those that are 0 but for rounding (key biases): hence not to 1e-12.
  void check_after_adam(const Golden& golden, const Gradients& g, const char* way) {
    Comparison after(fmt::format("after Adam, {}", way), 1e-11);
    Adam adam({.learning_rate = 1e-3});
    adam.step(g);
    for (const Parameter& p : params)
      after.check(p.path(), p.value(), golden.at("after." + p.path().substr(std::string("model.").size())));
  }

  ParameterStore params;
  Seq2Seq model;
};

/// Logits at the positions that count, row-major.
std::vector<double> real_logits(const Tensor& logits, const Tensor& target_out) {
  std::vector<double> values;
  for (Index row = 0; row < target_out.size(); ++row)
    for (Index c = 0; c < logits.shape()[2] && target_out.data<Index>()[row] != padding; ++c)
      values.push_back(logits.to_vector()[static_cast<std::size_t>(row * logits.shape()[2] + c)]);
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_train_step)

BOOST_AUTO_TEST_CASE(batch_and_positions) {
  const Golden golden("transformer_train_step");
  const Seq2SeqBatch batch = make_batch(sources, targets, bos, eos, padding);
  BOOST_TEST(identical(batch.source, golden.at("src")));
  BOOST_TEST(identical(batch.target_in, golden.at("tgt_in")));
  BOOST_TEST(identical(batch.target_out, golden.at("tgt_out")));
  BOOST_TEST(batch.targets == golden.count("valid_targets"));
  BOOST_TEST(count_targets(batch.target_out, padding) == batch.targets);
  Comparison comparison("positions", 1e-15);
  comparison.check("positions", sinusoidal_positions(6, 8), golden.at("positions"));
}

// PyTorch's model also gets the targets' padding mask; ours has the causal mask alone. At real positions both
// see equal keys, as padding comes after them. At padding the values differ, but no target depends on them.
BOOST_AUTO_TEST_CASE(loss_gradients_and_weights_after_one_step) {
  const Golden golden("transformer_train_step");
  const Seq2SeqBatch batch = make_batch(sources, targets, bos, eos, padding);
  for (const Way& way : test::ways) {
    Comparison comparison(fmt::format("train step, {}", way.name), way.limit());
    Twin twin(golden, way.dtype);
    Tape tape(way.tape());
    const Tensor logits = twin.model(tape, batch).value();
    comparison.check("logits", real_logits(logits, batch.target_out),
                     real_logits(golden.at("logits"), batch.target_out));
    const Var loss = twin.model.loss_sum(tape, batch, smoothing) / static_cast<double>(batch.targets);
    const Gradients g = tape.backward(loss, {.create_graph = way.create_graph});
    comparison.check("loss", loss.value(), golden.at("loss"));
    for (const Parameter& p : twin.params)
      comparison.check("grad." + p.path(), g[p], golden.at("grad." + p.path()));
    if (way.dtype == DType::f64) twin.check_after_adam(golden, g, way.name);
  }
}

BOOST_AUTO_TEST_CASE(every_row_a_shard_of_its_own) {
  const Golden golden("transformer_train_step");
  Twin twin(golden, DType::f64);
  ShardedStep step(twin.params, {.threads = 2, .dtype = DType::f64});
  const StepResult result = step.run(1, 3, [&](Tape& tape, Index shard) {
    const auto row = static_cast<std::size_t>(shard);
    const Seq2SeqBatch one = make_batch({&sources[row], 1}, {&targets[row], 1}, bos, eos, padding);
    return ShardLoss{twin.model.loss_sum(tape, one, smoothing), one.targets};
  });
  BOOST_TEST(result.count == golden.count("valid_targets"));
  Comparison comparison("train step, sharded", 1e-12);
  comparison.check("loss", {result.loss()}, golden.at("loss").to_vector());
  for (const Parameter& p : twin.params)
    comparison.check("grad." + p.path(), result.gradients[p], golden.at("grad." + p.path()));
  twin.check_after_adam(golden, result.gradients, "sharded");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
