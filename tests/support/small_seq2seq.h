#pragma once
#include <tapegrad/nn/seq2seq.h>

#include <vector>

namespace tapegrad::test {

using Rows = std::vector<std::vector<Index>>;

constexpr Index bos = 1, eos = 2, first_word = 3;

/// Two layers on each side with gelu, over 11 source and 13 target tokens.
inline nn::Seq2SeqOptions small_options(double dropout = 0, Index d_model = 8, Index heads = 2) {
  return {.source_vocabulary = 11,
          .target_vocabulary = 13,
          .transformer = {.d_model = d_model,
                          .nhead = heads,
                          .num_encoder_layers = 2,
                          .num_decoder_layers = 2,
                          .dim_feedforward = 12,
                          .dropout = dropout,
                          .activation = Activation::gelu},
          .max_length = 24};
}

/// `count` sentences of `shortest` to `longest` words below `vocabulary`, determined by `key`.
inline Rows sentences(Index count, Index shortest, Index longest, Index vocabulary, std::uint64_t key) {
  std::uint64_t draws = 0;
  const auto below = [&](Index bound) {
    return static_cast<Index>(uniform01(random_key(key, 0, 0, 0), draws++) * static_cast<double>(bound));
  };
  Rows rows(static_cast<std::size_t>(count));
  for (auto& row : rows) {
    row.resize(static_cast<std::size_t>(shortest + below(longest - shortest + 1)));
    for (Index& id : row) id = first_word + below(vocabulary - first_word);
  }
  return rows;
}

/// Source and target sentences of `small_options`, cut into `shards` batches.
inline std::vector<nn::Seq2SeqBatch> shards_of(Index rows, Index shortest, Index longest, Index shards,
                                               std::uint64_t key) {
  const Rows sources = sentences(rows, shortest, longest, 11, key);
  const Rows targets = sentences(rows, shortest, longest, 13, key + 1);
  std::vector<nn::Seq2SeqBatch> batches;
  for (Index shard = 0; shard < shards; ++shard) {
    const auto begin = static_cast<std::size_t>(rows * shard / shards);
    const auto size = static_cast<std::size_t>(rows * (shard + 1) / shards) - begin;
    batches.push_back(
        nn::make_batch({sources.data() + begin, size}, {targets.data() + begin, size}, bos, eos));
  }
  return batches;
}

/// Moves every parameter a little, so that none is all zeros or ones.
inline void shake(const ParameterStore& params, double size = 0.1) {
  for (const Parameter& p : params)
    p.update([&](Tensor& values) {
      const RandomKey key = random_key(99, static_cast<std::uint64_t>(values.size()), p.path().size(), 0);
      for (Index i = 0; i < values.size(); ++i) {
        const double move = size * (2 * uniform01(key, static_cast<std::uint64_t>(i)) - 1);
        if (values.dtype() == DType::f64)
          values.data<double>()[i] += move;
        else
          values.data<float>()[i] += static_cast<float>(move);
      }
    });
}

/// max |a - b| / max |b| over all tensors together.
inline double difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double most = 0, largest = 0;
  for (std::size_t k = 0; k < b.size(); ++k) {
    const std::vector<double> x = a.at(k).to_vector(), y = b[k].to_vector();
    for (std::size_t i = 0; i < y.size(); ++i) {
      most = std::max(most, std::abs(x.at(i) - y[i]));
      largest = std::max(largest, std::abs(y[i]));
    }
  }
  return most / largest;
}

}  // namespace tapegrad::test
