#include "tests/bench/step/trainer.h"

#include <cmath>

#include <tapegrad/nn/init.h>

namespace tapegrad::bench {
using namespace nn;
namespace {

Seq2SeqOptions model_options(const Size& c, bool checkpoint) {
  return {.source_vocabulary = c.vocabulary,
          .target_vocabulary = c.vocabulary,
          .transformer = {.d_model = c.d_model,
                          .nhead = c.heads,
                          .num_encoder_layers = c.layers,
                          .num_decoder_layers = c.layers,
                          .dim_feedforward = c.ff,
                          .dropout = 0,
                          .checkpoint = checkpoint},
          .max_length = c.length};
}

/// The peers' initial values: every matrix Xavier uniform, embeddings N(0, 1/√d_model), biases 0, gains 1.
void initialise(const ParameterStore& params, const Size& c) {
  std::uint64_t number = 0;
  for (const Parameter& p : params) {
    const RandomKey key = random_key(params.seed(), 0, 0, number++);
    p.update([&](Tensor& values) {
      if (p.path().find("_emb.") != std::string::npos)
        normal(0, 1 / std::sqrt(static_cast<double>(c.d_model)))(values, key);
      else if (values.rank() > 1)
        xavier_uniform()(values, key);
      else if (p.path().ends_with("bias"))
        zeros(values, key);
    });
  }
}

}  // namespace

Trainer::Trainer(const Size& size, int threads, std::uint64_t seed, bool checkpoint)
    : size_(size),
      params_(seed),
      model_(params_.root(), model_options(size, checkpoint)),
      adam_({.learning_rate = 1e-3}),
      sharded_(params_, {.threads = static_cast<std::size_t>(threads), .seed = seed}) {
  initialise(params_, size);
}

Trainer::Prepared Trainer::prepare(const Batch& batch) const {
  const Shape shape{size_.batch, size_.length};
  return {Tensor::ids(batch.source, shape), Tensor::ids(batch.target_in, shape)};
}

Seq2SeqBatch Trainer::Prepared::slice(Index begin, Index end) const {
  const IndexRange rows{begin, end};
  return {source[rows], target_in[rows], source[rows], {}, source[rows].size()};
}

double Trainer::step(const Prepared& batch) {
  nodes_ = 0;
  const StepResult result = sharded_.run(batch, [&](Tape& tape, const Seq2SeqBatch& shard) -> ShardLoss {
    const Var sum = model_.loss_sum(tape, shard);
    nodes_ += tape.size();
    return {sum, shard.targets};
  });
  adam_.step(result.gradients);
  return result.loss();
}

}  // namespace tapegrad::bench
