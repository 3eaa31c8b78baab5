#include <tapegrad/nn/train/sharded_step.h>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/adam.h>

#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

namespace tapegrad {
namespace {

using test::error_of;
using Batches = std::vector<Seq2SeqBatch>;

/// A model, and the loss of one shard of `batches`.
struct Setup {
  ParameterStore params;
  Seq2Seq model;
  Batches batches;

  explicit Setup(DType dtype = DType::f32, double dropout = 0, Index shards = 4)
      : params(3, dtype),
        model(params.root(), test::small_options(dropout)),
        batches(test::shards_of(8, 2, 7, shards, 20)) {}

  StepResult run(ShardedStep& step, std::uint64_t number = 1) const {
    return step.run(number, static_cast<Index>(batches.size()), [&](Tape& tape, Index shard) -> ShardLoss {
      const Seq2SeqBatch& batch = batches[static_cast<std::size_t>(shard)];
      return {model.loss_sum(tape, batch, 0.1), batch.targets};
    });
  }
  std::vector<Tensor> values() const {
    std::vector<Tensor> all;
    for (const Parameter& p : params) all.push_back(p.value().clone());
    return all;
  }
};

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = identical(a[i], b[i]);
  return same;
}

std::vector<Tensor> gradients_of(const Setup& setup, const Gradients& g) {
  std::vector<Tensor> all;
  for (const Parameter& p : setup.params) all.push_back(g[p].clone());
  return all;
}

/// Losses and parameters after ten steps of Adam on batches cut into `shards`.
std::vector<Tensor> trained(DType dtype, std::size_t threads, Index shards) {
  const Setup setup(dtype, 0.1, shards);
  ShardedStep step(setup.params, {.threads = threads, .seed = 5, .dtype = dtype});
  Adam adam({.learning_rate = 1e-2});
  std::vector<Tensor> result;
  for (std::uint64_t number = 1; number <= 10; ++number) {
    const StepResult r = setup.run(step, number);
    result.push_back(Tensor::full({}, r.loss(), DType::f64));
    adam.step(r.gradients);
  }
  for (const Tensor& value : setup.values()) result.push_back(value);
  return result;
}

struct BatchMean : Layer<BatchMean> {
  static constexpr bool mixes_examples = true;
  explicit BatchMean(const Scope& s) : Layer(s) {}
  Var forward(const Var& x) const { return mean(x, 0); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded_step)

BOOST_AUTO_TEST_CASE(one_two_and_four_threads_give_the_same_bits) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Index shards : {8, 5}) {
      const std::vector<Tensor> one = trained(dtype, 1, shards);
      BOOST_TEST(one[9].item() < one[0].item());
      BOOST_TEST(same_bits(one, trained(dtype, 2, shards)));
      BOOST_TEST(same_bits(one, trained(dtype, 4, shards)));
    }
}

BOOST_AUTO_TEST_CASE(equals_one_pass_over_the_whole_batch) {
  for (const Index shards : {1, 3, 4, 8}) {
    const Setup setup(DType::f64, 0, shards);
    const Seq2SeqBatch whole = test::shards_of(8, 2, 7, 1, 20)[0];
    Tape tape({.dtype = DType::f64, .training = true});
    const Var loss = setup.model.loss_sum(tape, whole, 0.1) / static_cast<double>(whole.targets);
    const std::vector<Tensor> expected = gradients_of(setup, tape.backward(loss));
    ShardedStep step(setup.params, {.threads = 2, .dtype = DType::f64});
    const StepResult r = setup.run(step);
    BOOST_TEST(r.count == whole.targets);
    BOOST_TEST(std::abs(r.loss() - loss.item()) < 1e-12 * loss.item());
    const double difference = test::difference(gradients_of(setup, r.gradients), expected);
    BOOST_TEST(difference < 1e-12);
    BOOST_TEST_MESSAGE(fmt::format("{} shards: gradients differ by {:.2g}", shards, difference));
  }
}

BOOST_AUTO_TEST_CASE(draws_follow_step_and_shard) {
  const Setup setup(DType::f64, 0.2);
  ShardedStep step(setup.params, {.threads = 2, .dtype = DType::f64}),
      other(setup.params, {.seed = 1, .dtype = DType::f64});
  const double first = setup.run(step, 1).loss_sum, second = setup.run(step, 2).loss_sum;
  BOOST_TEST(first != second);
  BOOST_TEST(setup.run(step, 1).loss_sum == first);
  BOOST_TEST(setup.run(other, 1).loss_sum != first);
}

BOOST_AUTO_TEST_CASE(no_targets_give_zero_gradients) {
  Setup setup;
  for (Seq2SeqBatch& batch : setup.batches) {
    batch.target_out = Tensor(batch.target_out.shape(), DType::i64);  // all padding
    batch.targets = 0;
  }
  ShardedStep step(setup.params, {.threads = 2});
  const StepResult r = setup.run(step);
  BOOST_TEST(r.loss() == 0);
  BOOST_TEST(r.loss_sum == 0);
  for (const Tensor& g : gradients_of(setup, r.gradients))
    BOOST_TEST(g.to_vector() == std::vector<double>(g.to_vector().size(), 0));
}

BOOST_AUTO_TEST_CASE(an_exception_surfaces_once_and_leaves_everything_usable) {
  const Setup setup(DType::f32, 0.1);
  ShardedStep step(setup.params, {.threads = 2});
  const StepResult before = setup.run(step, 7);
  const std::vector<Tensor> expected = gradients_of(setup, before.gradients), values = setup.values();
  for (const Index bad : {0, 1, 3}) {
    int caught = 0;
    try {
      step.run(7, 4, [&](Tape& tape, Index shard) -> ShardLoss {
        const Seq2SeqBatch& batch = setup.batches[static_cast<std::size_t>(shard)];
        const Var loss = setup.model.loss_sum(tape, batch);
        if (shard >= bad) throw std::runtime_error(fmt::format("shard {}", shard));
        return {loss, batch.targets};
      });
    } catch (const std::runtime_error& error) {
      ++caught;
      BOOST_TEST(error.what() == fmt::format("shard {}", bad));
    }
    BOOST_TEST(caught == 1);
    BOOST_TEST(same_bits(setup.values(), values));
    BOOST_TEST(error_of([&] { before.gradients.parameters("adam"); }) ==
               "adam: stale Gradients, their tape was reset (or a later step began) after the backward pass");
    BOOST_TEST(same_bits(gradients_of(setup, setup.run(step, 7).gradients), expected));
  }
}

BOOST_AUTO_TEST_CASE(results_are_stale_after_the_next_step) {
  const Setup setup;
  StepResult kept;
  {
    ShardedStep step(setup.params);
    const StepResult first = setup.run(step);
    Adam adam;
    adam.step(first.gradients);
    kept = setup.run(step, 2);
    BOOST_TEST(error_of([&] { adam.step(first.gradients); }) ==
               "optimizer.step: stale Gradients, their tape was reset (or a later step began) after the "
               "backward pass");
    adam.step(kept.gradients);
  }
  BOOST_TEST(error_of([&] { (void)kept.gradients[setup.model.generator.bias]; }) ==
             "gradients: stale Gradients, their tape is gone");
}

BOOST_AUTO_TEST_CASE(frozen_parameters_are_skipped_until_they_are_unfrozen) {
  Setup setup;
  setup.params.freeze("src_emb.*");
  ShardedStep step(setup.params, {.threads = 2});
  Adam adam;
  const Parameter frozen = setup.params.at("src_emb.weight"), free = setup.params.at("tgt_emb.weight");
  const Tensor before = frozen.value().clone(), free_before = free.value().clone();
  StepResult r = setup.run(step);
  BOOST_TEST(!r.gradients.contains(frozen));
  BOOST_TEST(r.gradients.contains(free));
  adam.step(r.gradients);
  BOOST_TEST(identical(frozen.value(), before));
  BOOST_TEST(!identical(free.value(), free_before));
  setup.params.unfreeze("src_emb.*");
  setup.params.freeze("tgt_emb.*");
  r = setup.run(step, 2);
  BOOST_TEST(r.gradients.contains(frozen));
  BOOST_TEST(!r.gradients.contains(free));
}

BOOST_AUTO_TEST_CASE(mistakes) {
  ParameterStore params;
  const auto one = [](Tensor& values, RandomKey) { values.fill(1); };
  const Parameter early = params.root().parameter("early", {2}, one);
  ShardedStep step(params);
  const Parameter late = params.root().parameter("late", {2}, one);
  const BatchMean mean_layer(params.root() / "model" / "mean");
  BOOST_TEST(error_of([&] { step.run(1, 0, [](Tape&, Index) { return ShardLoss{}; }); }) ==
             "sharded step: 0 shards");
  BOOST_TEST(error_of([&] {
               step.run(1, 1, [&](Tape& tape, Index) { return ShardLoss{sum(tape[early] * tape[late]), 1}; });
             }) ==
             "sharded step: the loss trains parameter 'late', which is none of the 1 that the store held "
             "when the step was made; "
             "make the step after the model, or freeze that parameter");
  BOOST_TEST(error_of([&] {
               step.run(1, 1, [&](Tape& tape, Index) { return ShardLoss{sum(tape[early]), -1}; });
             }) == "sharded step: shard 0 counts -1 targets");
  BOOST_TEST(error_of([&] {
               step.run(1, 2, [&](Tape& tape, Index) { return ShardLoss{sum(mean_layer(tape[early])), 1}; });
             }) ==
             "model.mean: layer: it mixes examples, so its result would depend on how a sharded step cuts "
             "the batch");
  const StepResult r = step.run(1, 2, [&](Tape& tape, Index shard) {
    return ShardLoss{sum(tape[early]), shard + 1};
  });
  BOOST_TEST(r.loss() == 4.0 / 3);
}

BOOST_AUTO_TEST_CASE(shards_follow_from_the_batch) {
  BOOST_TEST(shard_count(1, 100000) == 1);
  BOOST_TEST(shard_count(64, 1023) == 1);
  BOOST_TEST(shard_count(64, 1024) == 2);
  BOOST_TEST(shard_count(3, 100000) == 2);
  BOOST_TEST(shard_count(64, 8 * 512) == 8);
  BOOST_TEST(shard_count(1000, 10000000) == 64);
  for (const Index rows : {1, 7, 64, 100})
    for (const Index shards : {1, 2, 8}) {
      BOOST_TEST(shard_begin(rows, 0, shards) == 0);
      BOOST_TEST(shard_begin(rows, shards, shards) == rows);
      for (Index s = 0; s < shards; ++s) {
        const Index size = shard_begin(rows, s + 1, shards) - shard_begin(rows, s, shards);
        BOOST_TEST((size == rows / shards || size == rows / shards + 1));
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
