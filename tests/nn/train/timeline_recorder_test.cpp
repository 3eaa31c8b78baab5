#include <tapegrad/nn/train/timeline_recorder.h>

#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>
#include <tapegrad/optim/clip.h>

#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
using namespace nn;
using namespace optim;
namespace {

constexpr auto close = [] { return boost::test_tools::tolerance(2e-6); };  // sums in f32, 7 digits kept

struct Training {
  ParameterStore params{3};
  Seq2Seq model{params.root(), test::small_options(0.1)};
  std::vector<Seq2SeqBatch> batches = test::shards_of(8, 2, 7, 4, 20);
  test::Rows sources = {{3, 4, 5, 2}, {6, 7, 2}}, fed = {{1, 5, 6}, {1, 3, 4, 5, 6}};
  ShardedStep step;
  AdamW adam{{.learning_rate = 1e-2}};

  explicit Training(std::size_t threads = 1) : step(params, {.threads = threads, .seed = 5}) {}

  StepResult forward_and_backward(std::int64_t number) {
    return step.run(static_cast<std::uint64_t>(number), 4, [&](Tape& tape, Index shard) -> ShardLoss {
      const Seq2SeqBatch& batch = batches[static_cast<std::size_t>(shard)];
      return {model.loss_sum(tape, batch, 0.1), batch.targets};
    });
  }
  WatchedExamples watched() {
    return {2, [this](Tape& tape, std::size_t i) {
              const Seq2SeqBatch batch = make_source_batch({&sources[i], 1});
              model.decode(model.encode(tape, batch.source, batch.source_mask), batch.source_mask,
                           Tensor::ids(fed[i], {1, static_cast<Index>(fed[i].size())}));
            }};
  }
  void train(std::int64_t steps, TimelineRecorder* recorder) {
    for (std::int64_t number = 1; number <= steps; ++number) {
      const StepResult result = forward_and_backward(number);
      const bool due = recorder != nullptr && recorder->due(number);
      if (due) recorder->before_update(result.gradients);
      clip_grad_norm(result.gradients, 0.5);
      adam.step(result.gradients);
      if (due) recorder->after_update(number, result.loss(), adam.learning_rate());
    }
  }
  std::vector<Tensor> values() const {
    std::vector<Tensor> all;
    for (const Parameter& p : params) all.push_back(p.value().clone());
    return all;
  }
};

double norm_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x * x;
  return std::sqrt(sum);
}

std::vector<double> minus(const Tensor& a, const Tensor& b) {
  std::vector<double> out = a.to_vector();
  const std::vector<double> other = b.to_vector();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] -= other[i];
  return out;
}

std::size_t number_of(const Timeline& timeline, const std::string& layer) {
  for (std::size_t i = 0; i < timeline.layers.size(); ++i)
    if (timeline.layers[i] == layer) return i;
  BOOST_FAIL("no layer " << layer);
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timeline_recorder)

BOOST_AUTO_TEST_CASE(norms_equal_those_computed_directly) {
  Training training;
  TimelineRecorder recorder(training.params, training.watched());
  const StepResult result = training.forward_and_backward(1);
  recorder.before_update(result.gradients);
  const double norm = grad_norm(result.gradients);
  const Linear& linear = training.model.transformer.encoder.layers[1].feed_forward.linear1;
  const MultiHeadAttention& attention = training.model.transformer.decoder.layers[0].self_attn;
  const double layer_gradient = std::hypot(norm_of(result.gradients[linear.weight].to_vector()),
                                           norm_of(result.gradients[linear.bias].to_vector()));
  // Head 1 of 2 of width 4: rows 4 to 8 of query, key and value, each of 8 rows.
  const std::vector<double> rows = result.gradients[attention.in_proj_weight].to_vector();
  std::vector<double> head;
  for (std::size_t block = 0; block < 3; ++block)
    head.insert(head.end(), rows.begin() + static_cast<std::ptrdiff_t>((block * 8 + 4) * 8),
                rows.begin() + static_cast<std::ptrdiff_t>((block * 8 + 8) * 8));
  const Tensor weight = linear.weight.value().clone(), bias = linear.bias.value().clone();
  clip_grad_norm(result.gradients, 1e-3);
  training.adam.step(result.gradients);
  const TimelineSample& sample = recorder.after_update(1, result.loss(), 0.01);

  const Timeline& timeline = recorder.timeline();
  const std::size_t layer = number_of(timeline, "transformer.encoder.layers.1.linear1");
  BOOST_TEST(sample.step == 1);
  BOOST_TEST(sample.loss == result.loss(), close());
  BOOST_TEST(sample.learning_rate == 0.01);
  BOOST_TEST(sample.gradient_norm == norm, close());
  BOOST_TEST(norm_of(sample.gradient) == norm, close());
  BOOST_TEST(sample.gradient[layer] == layer_gradient, close());
  BOOST_TEST(sample.weight[layer] == std::hypot(norm_of(weight.to_vector()), norm_of(bias.to_vector())),
             close());
  BOOST_TEST(sample.update[layer] == std::hypot(norm_of(minus(linear.weight.value(), weight)),
                                                norm_of(minus(linear.bias.value(), bias))),
             close());
  // Encoder layers 0 and 1, then decoder layer 0's own attention: its second head is number 5.
  BOOST_TEST_REQUIRE(timeline.attention.size() == 6U);
  BOOST_TEST(timeline.attention[2].path == "transformer.decoder.layers.0.self_attn");
  BOOST_TEST(sample.head_gradient.size() == 12U);
  BOOST_TEST(sample.head_gradient[5] == norm_of(head), close());
}

BOOST_AUTO_TEST_CASE(entropy_and_focus_equal_those_computed_directly) {
  Training training;
  test::shake(training.params, 0.5);
  TimelineRecorder recorder(training.params, training.watched());
  training.train(1, &recorder);
  const TimelineSample& sample = recorder.timeline().samples.at(0);
  const AttentionSnapshot& snapshot = recorder.snapshot(1);
  // The decoder's own attention of layer 1, head 1: causal, so that row 0 sees one key and is left out.
  double entropy = 0, focus = 0;
  for (std::size_t example = 0; example < 2; ++example) {
    Tape tape;
    tape.observers().collect("transformer.decoder.layers.1.self_attn.weights");
    training.watched().run(tape, example);
    const Tensor weights = tape.observers().collected().at(0).value.value();
    const Index n = weights.shape()[-1];
    const std::vector<double> all = weights.to_vector();
    const double* p = all.data() + n * n;
    double sum = 0, most = 0;
    for (Index i = 1; i < n; ++i)
      for (Index j = 0; j <= i; ++j)
        sum -= p[i * n + j] * std::log(p[i * n + j]) / std::log(static_cast<double>(i + 1));
    for (Index j = 0; j < n; ++j) {
      double column = 0;
      for (Index i = 1; i < n; ++i) column += p[i * n + j];
      most = std::max(most, column);
    }
    entropy += sum / static_cast<double>(n - 1) / 2;
    focus += most / static_cast<double>(n - 1) / 2;
    if (example == 0) {
      const std::vector<std::uint16_t>& map = snapshot.maps.at(4);
      BOOST_TEST_REQUIRE(map.size() == 2U * 9);
      for (std::size_t i = 0; i < 9; ++i) BOOST_TEST(std::abs(map[9 + i] / 65535.0 - p[i]) <= 0.5001 / 65535);
    }
  }
  BOOST_TEST(sample.entropy.at(9) == entropy, close());
  BOOST_TEST(sample.focus.at(9) == focus, close());
}

BOOST_AUTO_TEST_CASE(watching_changes_no_bit_of_training) {
  for (const std::size_t threads : {1U, 2U}) {
    Training plain, seen(threads);
    TimelineRecorder recorder(seen.params, seen.watched());
    recorder.snapshot(0);
    plain.train(12, nullptr);
    seen.train(12, &recorder);
    const std::vector<Tensor> a = plain.values(), b = seen.values();
    for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(identical(a[i], b[i]));
    BOOST_TEST(recorder.timeline().samples.size() == 3U);  // steps 1, 5 and 10
  }
}

BOOST_AUTO_TEST_CASE(long_trainings_are_thinned) {
  Training training;
  TimelineRecorder recorder(training.params, training.watched(),
                            {.every = 1, .most_samples = 8, .most_snapshots = 4});
  recorder.snapshot(0);
  for (std::int64_t step = 1; step <= 40; ++step) {
    if (!recorder.due(step)) continue;
    recorder.before_update(training.forward_and_backward(step).gradients);
    recorder.after_update(step, 1, 1);
    if (recorder.snapshot_due(step)) recorder.snapshot(step);
  }
  recorder.snapshot(43);
  std::vector<std::int64_t> samples, snapshots;
  for (const TimelineSample& s : recorder.timeline().samples) samples.push_back(s.step);
  for (const AttentionSnapshot& s : recorder.timeline().snapshots) snapshots.push_back(s.step);
  BOOST_TEST(samples == (std::vector<std::int64_t>{1, 8, 16, 24, 32, 40}), boost::test_tools::per_element());
  BOOST_TEST(snapshots == (std::vector<std::int64_t>{0, 16, 32, 43}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(wrong_options_throw) {
  const Training training;
  BOOST_TEST(test::error_of([&] { TimelineRecorder(training.params, {}, {.every = 0}); }) ==
             "timeline: every 0 must be above 0, most_samples 200 and most_snapshots 22 above 1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
