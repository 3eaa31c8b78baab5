#include <tapegrad/nn/train/sharded_step.h>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/optim/adam.h>

#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

namespace tapegrad {
using namespace nn;
using namespace optim;
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

/// An exception in any shard surfaces once, changes no parameter, and the next step is as if it had not been.
void check_exceptions(const Setup& setup, std::size_t threads) {
  ShardedStep step(setup.params, {.threads = threads});
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

struct BatchMean : Layer<BatchMean> {
  static constexpr bool mixes_examples = true;
  explicit BatchMean(const Scope& s) : Layer(s) {}
  Var forward(const Var& x) const { return mean(x, 0); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded_step)

BOOST_AUTO_TEST_CASE(any_number_of_threads_gives_the_same_bits) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Index shards : {8, 5, 2, 1}) {  // also fewer than threads
      const std::vector<Tensor> one = trained(dtype, 1, shards);
      BOOST_TEST(one[9].item() < one[0].item());
      for (const std::size_t threads : {2u, 3u, 4u, 7u})
        BOOST_TEST(same_bits(one, trained(dtype, threads, shards)),
                   threads << " threads, " << shards << " shards");
    }
}

BOOST_AUTO_TEST_CASE(sums_of_large_parameters_that_some_shards_do_not_reach) {
  // A gradient is its shard's factor, a power of two: every sum is exact, and tells which shards are in it.
  ParameterStore params;
  const auto one = [](Tensor& values, RandomKey) { values.fill(1); };
  const Parameter small = params.root().parameter("small", {3}, one),
                  large = params.root().parameter("large", {30007}, one),
                  unread = params.root().parameter("unread", {20}, one),
                  late = params.root().parameter("late", {129, 65}, one);
  for (const Index shards : {2, 3, 6, 7, 16})
    for (const std::size_t threads : {1u, 2u, 3u, 7u}) {
      ShardedStep step(params, {.threads = threads});
      const auto factor = [](Index shard) { return static_cast<double>(Index{1} << shard); };
      for (std::uint64_t number = 1; number <= 2; ++number) {
        const StepResult r = step.run(number, shards, [&](Tape& tape, Index shard) -> ShardLoss {
          if (shard == 1) return {tape.full({}, 0), 0};  // reaches none
          Var loss = sum(tape[large]) * factor(shard);
          if (shard % 3 == 0) loss = loss + sum(tape[small]) * factor(shard);
          if (shard == shards - 1) loss = loss + sum(tape[late]) * factor(shard);
          return {loss, shard == 0 ? 4 : 0};
        });
        double all = 0, thirds = 0;
        for (Index shard = 0; shard < shards; ++shard) {
          if (shard != 1) all += factor(shard);
          if (shard % 3 == 0) thirds += factor(shard);
        }
        const auto holds = [&](const Parameter& p, double value) {
          return identical(r.gradients[p], Tensor::full(p.shape(), value / 4));
        };
        BOOST_TEST(holds(large, all));
        BOOST_TEST(holds(small, thirds));
        BOOST_TEST(!r.gradients.contains(unread));
        BOOST_TEST(r.gradients.contains(late) == (shards != 2));
        if (shards != 2) BOOST_TEST(holds(late, factor(shards - 1)));
      }
    }
}

BOOST_AUTO_TEST_CASE(a_parameter_that_is_frozen_for_one_of_its_uses) {
  ParameterStore params;
  const Parameter p = params.root().parameter("p", {2}, [](Tensor& values, RandomKey) { values.fill(3); });
  for (const Index shards : {1, 2}) {
    ShardedStep step(params);
    const StepResult r = step.run(1, shards, [&](Tape& tape, Index) -> ShardLoss {
      Var loss = sum(tape[p] * 2);
      params.freeze("p");
      loss = loss + sum(tape[p] * 10);
      params.unfreeze("p");
      return {loss + sum(tape[p] * 5), 1};
    });
    BOOST_TEST(identical(r.gradients[p], Tensor::full({2}, 7)));
  }
}

BOOST_AUTO_TEST_CASE(parameters_of_another_dtype_than_the_tape) {
  ParameterStore params(1, DType::f64);
  const Parameter p = params.root().parameter("p", {2}, [](Tensor& v, RandomKey) { v.fill(3); });
  for (const Index shards : {1, 4}) {
    ShardedStep step(params, {.threads = 2, .dtype = DType::f32});
    const StepResult r = step.run(1, shards, [&](Tape& tape, Index) {
      return ShardLoss{sum(tape[p] * tape[p]), 1};
    });
    BOOST_TEST(identical(r.gradients[p], Tensor::full({2}, 6, DType::f64)));
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
  for (const std::size_t threads : {1u, 2u, 7u}) check_exceptions(setup, threads);
}

BOOST_AUTO_TEST_CASE(a_step_of_one_shard_starts_from_the_mean) {
  const Setup setup(DType::f64, 0, 1);
  ShardedStep step(setup.params, {.dtype = DType::f64});
  Tape tape({.dtype = DType::f64, .training = true});
  for (std::uint64_t number = 1; number <= 2; ++number) {
    const StepResult r = setup.run(step, number);
    tape.reset();
    const Var sum = setup.model.loss_sum(tape, setup.batches[0], 0.1);
    const double count = static_cast<double>(setup.batches[0].targets);
    const Gradients g = tape.backward(sum, {.cotangent = Tensor::full({}, 1 / count, DType::f64)});
    BOOST_TEST(same_bits(gradients_of(setup, r.gradients), gradients_of(setup, g)));
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
  for (const Index shards : {Index{0}, Index{-1}, (Index{1} << 16) + 1})
    BOOST_TEST(error_of([&] { step.run(1, shards, [](Tape&, Index) { return ShardLoss{}; }); }) ==
               fmt::format("sharded step: {} shards, not between 1 and 65536", shards));
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

BOOST_AUTO_TEST_CASE(shards_follow_from_batch_and_model) {
  constexpr Index small = 1 << 18, large = 1 << 22;
  BOOST_TEST(shard_count(1, 100000, small) == 1);
  BOOST_TEST(shard_count(64, 255, small) == 1);
  BOOST_TEST(shard_count(64, 256, small) == 2);
  BOOST_TEST(shard_count(64, 511, small + 1) == 1);
  BOOST_TEST(shard_count(64, 512, large) == 2);
  BOOST_TEST(shard_count(64, 1023, large + 1) == 1);
  BOOST_TEST(shard_count(64, 1024, large + 1) == 2);
  BOOST_TEST(shard_count(3, 100000, small) == 2);
  BOOST_TEST(shard_count(64, 8 * 512, large + 1) == 8);
  BOOST_TEST(shard_count(1000, 10000000, large) == 64);
  BOOST_TEST(shard_count(1000, 10000000, large + 1) == 16);
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
