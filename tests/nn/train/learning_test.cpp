// Small models learn small tasks.
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/decode/greedy.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>

#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
using namespace optim;

BOOST_AUTO_TEST_SUITE(learning)

BOOST_AUTO_TEST_CASE(two_layers_learn_xor) {
  ParameterStore params(1);
  const Linear hidden(params.root() / "hidden", 2, 8), out(params.root() / "out", 8, 1);
  Adam adam({.learning_rate = 0.05});
  Tape tape;
  double loss = 0;
  for (int step = 0; step < 200; ++step) {
    tape.reset();
    const Var x = tape.constant({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
    const Var error = mean(square(out(tanh(hidden(x))) - tape.constant({{0}, {1}, {1}, {0}})));
    adam.step(tape.backward(error));
    loss = error.item();
  }
  BOOST_TEST(loss < 1e-3);
}

BOOST_AUTO_TEST_CASE(an_encoder_decoder_learns_to_copy_three_tokens) {
  ParameterStore params(2);
  const Seq2Seq model(params.root(), {.source_vocabulary = 7,
                                      .target_vocabulary = 7,
                                      .transformer = {.d_model = 16,
                                                      .nhead = 2,
                                                      .num_encoder_layers = 1,
                                                      .num_decoder_layers = 1,
                                                      .dim_feedforward = 32,
                                                      .dropout = 0},
                                      .max_length = 8});
  ShardedStep step(params);
  Adam adam({.learning_rate = 5e-3});
  double loss = 0;
  for (std::uint64_t number = 1; number <= 200; ++number) {
    const test::Rows rows = test::sentences(32, 3, 3, 7, number);
    const Seq2SeqBatch batch = make_batch(rows, rows, test::bos, test::eos);
    const StepResult r = step.run(number, 1, [&](Tape& tape, Index) -> ShardLoss {
      return {model.loss_sum(tape, batch), batch.targets};
    });
    adam.step(r.gradients);
    loss = r.loss();
  }
  BOOST_TEST(loss < 0.1);
  Tape tape({.record = false});
  const test::Rows rows = test::sentences(30, 3, 3, 7, 1000);
  const test::Rows copies = greedy_decode(model, tape, rows, {.max_length = 6});
  int right = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) right += copies[i] == rows[i];
  BOOST_TEST(right >= 28);
  BOOST_TEST_MESSAGE(fmt::format("copy: loss {:.3g}, {} of 30 right", loss, right));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
