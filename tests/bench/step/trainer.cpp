#include "tests/bench/step/trainer.h"

#include <cmath>
#include <numeric>

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

Trainer::Shards Trainer::prepare(const Batch& batch) const {
  const Index count = shard_count(size_.batch, size_.tokens(), params_.trainable_values());
  const auto part = [&](const std::vector<std::int64_t>& ids, Index begin, Index rows) {
    const auto first = ids.begin() + begin * size_.length;
    return Tensor::ids({first, first + rows * size_.length}, {rows, size_.length});
  };
  Shards shards;
  for (Index s = 0; s < count; ++s) {
    const Index begin = shard_begin(size_.batch, s, count),
                rows = shard_begin(size_.batch, s + 1, count) - begin;
    const Tensor source = part(batch.source, begin, rows), target_in = part(batch.target_in, begin, rows);
    shards.push_back({source, target_in, source, {}, rows * size_.length});
  }
  return shards;
}

double Trainer::step(const Shards& shards) {
  nodes_.resize(shards.size());
  const StepResult result =
      sharded_.run(++count_, static_cast<Index>(shards.size()), [&](Tape& tape, Index shard) -> ShardLoss {
        const Seq2SeqBatch& batch = shards[static_cast<std::size_t>(shard)];
        const Var sum = model_.loss_sum(tape, batch);
        nodes_[static_cast<std::size_t>(shard)] = tape.size();
        return {sum, batch.targets};
      });
  adam_.step(result.gradients);
  return result.loss();
}

std::size_t Trainer::nodes() const { return std::accumulate(nodes_.begin(), nodes_.end(), std::size_t{0}); }

}  // namespace tapegrad::bench
