// `TransformerOptions::checkpoint`: the bits of the model without it, in a fraction of the memory.
#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/train/sharded_step.h>
#include <tapegrad/optim/adam.h>
#include <tests/support/malloc_count.h>
#include <tests/support/small_seq2seq.h>

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::optim;
using namespace tapegrad::test;

namespace {

Seq2SeqOptions options_with(bool checkpoint, bool norm_first) {
  Seq2SeqOptions options = small_options(0.2);
  options.transformer.norm_first = norm_first;
  options.transformer.checkpoint = checkpoint;
  return options;
}

struct Trained {
  ParameterStore params{3};
  Seq2Seq model;
  Trained(bool checkpoint, bool norm_first) : model(params.root(), options_with(checkpoint, norm_first)) {
    shake(params);
  }
};

void check_identical(const ParameterStore& a, const ParameterStore& b) {
  for (const Parameter& p : a) BOOST_TEST(identical(p.value(), b.at(p.path()).value()), p.path());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpointed_layers)

BOOST_AUTO_TEST_CASE(loss_and_gradients_have_the_same_bits) {
  for (const bool norm_first : {false, true})
    for (const bool consume : {false, true})
      for (const bool fused : {true, false}) {
        const Trained plain(false, norm_first), saving(true, norm_first);
        const Seq2SeqBatch batch = shards_of(5, 2, 9, 1, 6)[0];
        Tape a({.training = true, .fused = fused, .seed = 4}),
            b({.training = true, .fused = fused, .seed = 4});
        const Var x = plain.model.loss_sum(a, batch, 0.1), y = saving.model.loss_sum(b, batch, 0.1);
        BOOST_TEST(b.size() < a.size());
        BOOST_TEST(identical(x.value(), y.value()));
        const Gradients f = a.backward(x, {.consume = consume}), g = b.backward(y, {.consume = consume});
        const auto expected = f.parameters("test"), found = g.parameters("test");
        BOOST_REQUIRE(expected.size() == plain.params.size());
        BOOST_REQUIRE(expected.size() == found.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
          const std::string& path = expected[i].parameter->path();
          BOOST_TEST(found[i].parameter->path() == path);
          BOOST_TEST(identical(f[plain.params.at(path)], g[saving.params.at(path)]), path);
        }
      }
}

BOOST_AUTO_TEST_CASE(training_in_shards_has_the_same_bits_and_allocates_nothing) {
  const Trained plain(false, false);
  ParameterStore expected(3);
  const std::vector<Seq2SeqBatch> shards = shards_of(8, 2, 9, 4, 2);
  const auto train = [&](const Trained& trained, std::size_t threads) {
    ShardedStep step(trained.params, {.threads = threads, .seed = 8});
    Adam adam({.learning_rate = 0.01});
    std::uint64_t calls = 0;
    for (std::uint64_t i = 0; i < 6; ++i) {
      const std::uint64_t before = allocation_calls();
      const StepResult result = step.run(i, 4, [&](Tape& tape, Index shard) -> ShardLoss {
        const Seq2SeqBatch& batch = shards[static_cast<std::size_t>(shard)];
        return {trained.model.loss_sum(tape, batch), batch.targets};
      });
      adam.step(result.gradients);
      calls = allocation_calls() - before;
    }
    return calls;
  };
  train(plain, 1);
  for (const std::size_t threads : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    const Trained saving(true, false);
    const std::uint64_t calls = train(saving, threads);
    check_identical(plain.params, saving.params);
    if (counts_allocations() && threads == 1) BOOST_TEST(calls == 0u);
  }
}

BOOST_AUTO_TEST_CASE(masks_are_kept_until_they_are_needed) {
  ParameterStore params(3), same(3);
  const TransformerOptions options = {
      .d_model = 8, .nhead = 2, .num_encoder_layers = 2, .dim_feedforward = 8, .dropout = 0};
  TransformerOptions saving = options;
  saving.checkpoint = true;
  const Encoder plain(params.root(), options), other(same.root(), saving);
  Tensor data({2, 3, 8});
  for (Index i = 0; i < data.size(); ++i) data.data<float>()[i] = static_cast<float>(i % 7) - 3;
  Tape a, b;
  const Var x = a.variable(data), y = b.variable(data);
  // Temporaries, with tensors of their own.
  const Var u = plain(x, Mask::keep(Tensor::of({{1, 0, 1}, {1, 1, 0}, {0, 1, 1}}, DType::boolean)) &
                             Mask::from_lengths(std::vector<Index>{3, 2}));
  const Var v = other(y, Mask::keep(Tensor::of({{1, 0, 1}, {1, 1, 0}, {0, 1, 1}}, DType::boolean)) &
                             Mask::from_lengths(std::vector<Index>{3, 2}));
  BOOST_TEST(identical(a.backward(sum(u * u))[x], b.backward(sum(v * v))[y]));
}

BOOST_AUTO_TEST_CASE(attention_weights_are_tapped_inside) {
  const Trained plain(false, false), saving(true, false);
  const Seq2SeqBatch batch = shards_of(3, 2, 6, 1, 6)[0];
  Tape a({.training = true}), b({.training = true});
  for (Tape* tape : {&a, &b}) tape->observers().collect("transformer.*.weights");
  const Var x = plain.model.loss_sum(a, batch), y = saving.model.loss_sum(b, batch);
  const Gradients f = a.backward(x), g = b.backward(y);
  const auto &expected = a.observers().collected(), &found = b.observers().collected();
  BOOST_REQUIRE(expected.size() == 6U);
  BOOST_REQUIRE(found.size() == 6U);
  for (std::size_t i = 0; i < found.size(); ++i) {
    BOOST_TEST(found[i].name == expected[i].name);
    BOOST_TEST(identical(found[i].value.value(), expected[i].value.value()));
    BOOST_TEST(g.contains(found[i].value) == f.contains(expected[i].value));
    if (f.contains(expected[i].value)) BOOST_TEST(identical(g[found[i].value], f[expected[i].value]));
  }
}

BOOST_AUTO_TEST_CASE(a_changed_parameter_is_named) {
  const Trained saving(true, false);
  const Seq2SeqBatch batch = shards_of(3, 2, 6, 1, 6)[0];
  Tape tape;
  const Var loss = saving.model.loss_sum(tape, batch);
  const std::string path = "transformer.encoder.layers.1.linear1.weight";
  saving.params.at(path).update([](Tensor& w) { w.data<float>()[0] += 1; });
  std::string text;
  try {
    tape.backward(loss);
  } catch (const Error& error) {
    text = error.what();
  }
  BOOST_TEST(text ==
             "transformer.encoder: checkpoint: parameter '" + path +
                 "' is at version 2, but version 1 was recorded; update parameters after backward, or "
                 "record again");
}

BOOST_AUTO_TEST_CASE(six_layers_take_a_fraction_of_the_memory) {
  TransformerOptions options = {.d_model = 32, .nhead = 4, .dim_feedforward = 128};
  Tensor data({8, 64, 32});
  for (Index i = 0; i < data.size(); ++i) data.data<float>()[i] = static_cast<float>(i % 11) - 5;
  const auto peak = [&](bool checkpoint, bool consume) {
    options.checkpoint = checkpoint;
    ParameterStore params(1);
    const Transformer model(params.root(), options);
    Tape tape({.training = true});
    const Var x = tape.constant(data);
    tape.backward(sum(model(x, x, TransformerMasks{.target = Mask::causal()})), {.consume = consume});
    return static_cast<double>(tape.peak_bytes());
  };
  for (const bool consume : {true, false}) {
    const double ratio = peak(false, consume) / peak(true, consume);
    BOOST_TEST_MESSAGE((consume ? "with" : "without") << " .consume: " << ratio << " times less");
    BOOST_TEST(ratio > (consume ? 3.5 : 4.5));
  }
}

BOOST_AUTO_TEST_SUITE_END()
