// A training step whose shapes were seen before calls no allocator, on any thread.
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>
#include <tapegrad/optim/ema.h>

#include <tests/support/malloc_count.h>
#include <tests/support/small_seq2seq.h>
#include <array>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
using namespace nn;
using namespace optim;
namespace {

struct Case {
  std::size_t threads;
  Positions positions = Positions::sinusoidal;
  bool tied = false;
  Score score = Score::scaled_dot;
};

/// Calls of the allocator in 24 steps over batches of three shapes in random order.
std::uint64_t calls_when_warm(const Case& c) {
  Seq2SeqOptions options = test::small_options(0.1, 16, 4);
  options.positions = c.positions;
  options.tie_embeddings = c.tied;
  options.transformer.score = c.score;
  ParameterStore params(3);
  const Seq2Seq model(params.root(), options);
  const std::array<std::vector<Seq2SeqBatch>, 3> shapes = {
      test::shards_of(8, 3, 9, 4, 1), test::shards_of(6, 10, 14, 2, 2), test::shards_of(3, 1, 3, 1, 3)};
  ShardedStep step(params, {.threads = c.threads, .seed = 7});
  Adam adam;
  Ema ema(params, 0.9);
  double last = 0;
  const auto run = [&](std::uint64_t number, const std::vector<Seq2SeqBatch>& batches) {
    const StepResult r =
        step.run(number, static_cast<Index>(batches.size()), [&](Tape& tape, Index shard) -> ShardLoss {
          const Seq2SeqBatch& batch = batches[static_cast<std::size_t>(shard)];
          return {model.loss_sum(tape, batch, 0.1), batch.targets};
        });
    clip_grad_norm(r.gradients, 0.5);
    adam.step(r.gradients);
    ema.update();
    last = r.loss();
  };
  std::uint64_t number = 0;
  for (const auto& batches : shapes) run(number++, batches);
  const double first = last;
  const std::uint64_t before = test::allocation_calls();
  for (; number < 27; ++number) run(number, shapes[random_bits(random_key(5, 0, 0, 0), number) % 3]);
  const std::uint64_t calls = test::allocation_calls() - before;
  run(number++, shapes[2]);
  BOOST_TEST(last < first);
  return calls;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(one_thread) { BOOST_TEST(calls_when_warm({.threads = 1}) == 0u); }

BOOST_AUTO_TEST_CASE(several_threads) {
  for (const std::size_t threads : {2u, 3u, 7u}) BOOST_TEST(calls_when_warm({.threads = threads}) == 0u);
}

BOOST_AUTO_TEST_CASE(learned_positions_and_tied_embeddings) {
  BOOST_TEST(calls_when_warm({.threads = 2, .positions = Positions::learned, .tied = true}) == 0u);
}

BOOST_AUTO_TEST_CASE(other_scores) {
  BOOST_TEST(calls_when_warm({.threads = 1, .score = Score::cosine}) == 0u);
  BOOST_TEST(calls_when_warm({.threads = 2, .score = Score::negative_distance}) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
