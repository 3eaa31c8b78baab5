#include "seq2seq.h"

#include <algorithm>
#include <cmath>

#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/dropout.h"
#include "init.h"

namespace tapegrad::nn {
namespace {

Tensor padded(std::span<const std::vector<Index>> rows, Index before, Index after, Index pad) {
  const Index extra = (before >= 0 ? 1 : 0) + (after >= 0 ? 1 : 0);
  Index longest = 0;
  for (const auto& row : rows) longest = std::max(longest, static_cast<Index>(row.size()) + extra);
  Tensor ids({static_cast<Index>(rows.size()), longest}, DType::i64);
  Index* at = ids.data<Index>();
  std::fill_n(at, ids.size(), pad);
  for (const auto& row : rows) {
    Index* to = at;
    if (before >= 0) *to++ = before;
    to = std::copy(row.begin(), row.end(), to);
    if (after >= 0) *to++ = after;
    at += longest;
  }
  return ids;
}

void refuse_pad(std::span<const std::vector<Index>> rows, std::string_view side, Index pad) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto at = std::find(rows[row].begin(), rows[row].end(), pad);
    expects(at == rows[row].end(), "make_batch: {} row {} holds the padding id {} at position {}", side, row,
            pad, at - rows[row].begin());
  }
}

LinearOptions output_options() { return {.weight_init = xavier_uniform(), .bias_init = zeros}; }

}  // namespace

Seq2SeqBatch make_source_batch(std::span<const std::vector<Index>> sources, Index pad) {
  expects(!sources.empty(), "make_batch: 0 source rows, at least one is needed");
  Seq2SeqBatch batch;
  batch.source = padded(sources, -1, -1, pad);
  std::vector<Index> lengths;
  for (const auto& row : sources) lengths.push_back(static_cast<Index>(row.size()));
  batch.source_mask = Mask::from_lengths(lengths);
  return batch;
}

Seq2SeqBatch make_batch(std::span<const std::vector<Index>> sources,
                        std::span<const std::vector<Index>> targets, Index bos, Index eos, Index pad) {
  expects(sources.size() == targets.size(), "make_batch: {} sources and {} targets", sources.size(),
          targets.size());
  expects(bos != pad && eos != pad,
          "make_batch: the padding id {} is bos or eos, too; it must be an id of its own", pad);
  refuse_pad(sources, "source", pad);
  refuse_pad(targets, "target", pad);
  Seq2SeqBatch batch = make_source_batch(sources, pad);
  batch.target_in = padded(targets, bos, -1, pad);
  batch.target_out = padded(targets, -1, eos, pad);
  for (const auto& row : targets) batch.targets += static_cast<Index>(row.size()) + 1;
  return batch;
}

Seq2Seq::Seq2Seq(const Scope& scope, const Seq2SeqOptions& o)
    : Layer(scope),
      options(o),
      src_emb(scope / "src_emb", o.source_vocabulary, o.transformer.d_model,
              {.padding_idx = o.pad,
               .init = normal(0, 1 / std::sqrt(static_cast<double>(o.transformer.d_model)))}),
      tgt_emb(scope / "tgt_emb", o.target_vocabulary, o.transformer.d_model,
              {.padding_idx = o.tie_embeddings ? std::nullopt : std::optional(o.pad),
               .init = normal(0, 1 / std::sqrt(static_cast<double>(o.transformer.d_model)))}),
      transformer(scope / "transformer", o.transformer),
      generator(o.tie_embeddings ? Linear(scope / "generator", tied(tgt_emb.weight), output_options())
                                 : Linear(scope / "generator", o.transformer.d_model, o.target_vocabulary,
                                          output_options())) {
  if (o.positions == Positions::learned) {
    src_pos.emplace(scope / "src_pos", o.max_length, o.transformer.d_model);
    tgt_pos.emplace(scope / "tgt_pos", o.max_length, o.transformer.d_model);
  } else {
    positions.emplace(scope / "positions", o.max_length, o.transformer.d_model);
  }
}

/// dropout(√d_model · table[ids] + positions)   ids [batch, time] -> [batch, time, d_model]
Var Seq2Seq::embed(Tape& tape, const Embedding& table, const std::optional<LearnedPositions>& learned,
                   const Tensor& ids, Index first) const {
  const double scale = std::sqrt(static_cast<double>(options.transformer.d_model));
  const PositionsPart where = learned ? PositionsPart(*learned) : PositionsPart(*positions);
  return dropout(tapegrad::embed(tape, ids, table, where, {.scale = scale, .first = first}),
                 options.transformer.dropout);
}

Var Seq2Seq::encode(Tape& tape, const Tensor& source, const Mask& source_mask) const {
  // [batch, source, d_model]
  return transformer.encoder(embed(tape, src_emb, src_pos, source), source_mask);
}

Var Seq2Seq::decode(const Var& memory, const Mask& source_mask, const Tensor& target_in) const {
  const Var x = embed(memory.tape(), tgt_emb, tgt_pos, target_in);     // [batch, target, d_model]
  return transformer.decoder(x, memory, Mask::causal(), source_mask);  // [batch, target, d_model]
}

Var Seq2Seq::decode_step(Tape& tape, DecoderCache& cache, const Tensor& last) const {
  const Var x = embed(tape, tgt_emb, tgt_pos, last, cache.time());  // [rows, 1, d_model]
  // [rows, 1, target_vocabulary]
  return cache.weights().linear(transformer.decoder.step(x, cache), generator);
}

Var Seq2Seq::forward(Tape& tape, const Seq2SeqBatch& batch) const {
  // [batch, target, target_vocabulary]
  return generator(decode(encode(tape, batch.source, batch.source_mask), batch.source_mask, batch.target_in));
}

Var Seq2Seq::loss_sum(Tape& tape, const Seq2SeqBatch& batch, double label_smoothing) const {
  return cross_entropy(
      (*this)(tape, batch), batch.target_out,
      {.ignore_index = options.pad, .label_smoothing = label_smoothing, .reduction = Reduction::sum});
}

}  // namespace tapegrad::nn
