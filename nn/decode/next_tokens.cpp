#include "next_tokens.h"

#include <algorithm>
#include <numeric>

#include "../../autograd/ops/index.h"
#include "../../autograd/ops/slice.h"

namespace tapegrad::nn {

NextTokens::NextTokens(const Seq2Seq& model, Tape& tape, std::span<const std::vector<Index>> sources,
                       std::shared_ptr<TransposedWeights> weights)
    : model_(model),
      tape_(tape),
      cached_(tape.options().fused && !tape.observers().has_value_hooks() && !tape.observers().collects() &&
              model.options.transformer.score == Score::scaled_dot) {
  tape.reset();
  const Seq2SeqBatch batch = make_source_batch(sources, model.options.pad);
  memory_ = model.encode(tape, batch.source, batch.source_mask);
  for (const auto& row : sources) lengths_.push_back(static_cast<Index>(row.size()));
  if (cached_) {
    cache_ = model.transformer.decoder.start(memory_, lengths_, std::move(weights));
  } else {
    prefixes_.resize(sources.size());
    sentences_.resize(sources.size());
    std::iota(sentences_.begin(), sentences_.end(), Index{0});
    mark_ = tape.mark();
  }
}

Tensor NextTokens::logits(std::span<const Index> last) {
  if (!cached_) return from_prefixes(last);
  if (marked_) tape_.rewind(mark_);
  const Tensor result = from_cache(last).value();
  if (!marked_) mark_ = tape_.mark();
  marked_ = true;
  return result.reshaped({static_cast<Index>(last.size()), result.shape()[-1]});
}

Var NextTokens::from_cache(std::span<const Index> last) {
  const auto rows = static_cast<Index>(last.size());
  if (!last_ || last_.shape()[0] != rows) last_ = Tensor({rows, 1}, DType::i64);
  std::copy(last.begin(), last.end(), last_.data<Index>());
  return model_.decode_step(tape_, cache_, last_);
}

Tensor NextTokens::from_prefixes(std::span<const Index> last) {
  const auto rows = static_cast<Index>(last.size());
  for (std::size_t row = 0; row < last.size(); ++row) prefixes_[row].push_back(last[row]);
  const auto length = static_cast<Index>(prefixes_[0].size());
  Tensor ids({rows, length}, DType::i64), sentences({rows}, DType::i64);
  Index* at = ids.data<Index>();
  for (const auto& prefix : prefixes_) at = std::copy(prefix.begin(), prefix.end(), at);
  std::copy(sentences_.begin(), sentences_.end(), sentences.data<Index>());
  std::vector<Index> lengths;
  for (const Index sentence : sentences_) lengths.push_back(lengths_[static_cast<std::size_t>(sentence)]);
  const Var memory = index_select(memory_, 0, sentences);  // [rows, source, d_model]
  const Var hidden = model_.decode(memory, Mask::from_lengths(std::span<const Index>(lengths)), ids);
  const Tensor result = model_.generator(tapegrad::select(hidden, 1, length - 1)).value().clone();
  tape_.rewind(mark_);
  return result;
}

void NextTokens::select(std::span<const Index> parents) {
  if (cached_) return cache_.select(parents);
  std::vector<std::vector<Index>> prefixes;
  std::vector<Index> sentences;
  for (const Index parent : parents) {
    prefixes.push_back(prefixes_[static_cast<std::size_t>(parent)]);
    sentences.push_back(sentences_[static_cast<std::size_t>(parent)]);
  }
  prefixes_ = std::move(prefixes);
  sentences_ = std::move(sentences);
}

}  // namespace tapegrad::nn
