/// A sequence-to-sequence model over token ids: embeddings, Transformer, output projection; and its batches.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "../autograd/ops/cross_entropy.h"
#include "embedding.h"
#include "positional.h"
#include "transformer.h"

namespace tapegrad::nn {

enum class Positions { sinusoidal, learned };

struct Seq2SeqOptions {
  Index source_vocabulary = 0, target_vocabulary = 0;
  TransformerOptions transformer = {};
  Positions positions = Positions::sinusoidal;
  Index max_length = 512;       ///< of either side, special tokens included
  bool tie_embeddings = false;  ///< target embedding = output weight (Press and Wolf, 2017)
  Index pad =
      0;  ///< id that fills short rows and is no target; its embedding is zero unless `tie_embeddings`
};

/// One batch of examples, padded to the longest.
struct Seq2SeqBatch {
  Tensor source;      // [batch, source] i64
  Tensor target_in;   // [batch, target]: bos y₁ … y_n
  Tensor target_out;  // [batch, target]: y₁ … y_n eos
  Mask source_mask;   // padding left out
  Index targets = 0;  // valid entries of target_out
};

/// The batch of rows `sources[i]` and `targets[i]`; `bos` and `eos` are added around targets. Throws when a
/// row holds `pad`, which would be taken for padding.
Seq2SeqBatch make_batch(std::span<const std::vector<Index>> sources,
                        std::span<const std::vector<Index>> targets, Index bos, Index eos, Index pad = 0);
/// The sources alone, for decoding.
Seq2SeqBatch make_source_batch(std::span<const std::vector<Index>> sources, Index pad = 0);

/// Logits of target tokens from source and target ids: embedding · √d_model + positions on both sides
/// (Vaswani et al., 2017, 3.4), a Transformer, and the output projection. Parameters: `src_emb.weight`,
/// `tgt_emb.weight`, `transformer.…`, `generator.{weight,bias}`, with learned positions `src_pos.weight` and
/// `tgt_pos.weight`.
struct Seq2Seq : Layer<Seq2Seq> {
  Seq2Seq(const Scope& scope, const Seq2SeqOptions& options);

  /// Logits of every next target token.   -> [batch, target, target_vocabulary]
  Var forward(Tape& tape, const Seq2SeqBatch& batch) const;
  /// Sum of the cross-entropy over the batch's valid targets.
  Var loss_sum(Tape& tape, const Seq2SeqBatch& batch, double label_smoothing = 0) const;
  /// The encoder's output.   [batch, source] -> [batch, source, d_model]
  Var encode(Tape& tape, const Tensor& source, const Mask& source_mask) const;
  /// The decoder's output before the projection.   [batch, target] -> [batch, target, d_model]
  Var decode(const Var& memory, const Mask& source_mask, const Tensor& target_in) const;
  /// Logits of the next token of every row from its newest token alone, see Decoder::step.
  ///   last [rows, 1] -> [rows, 1, target_vocabulary]
  Var decode_step(Tape& tape, DecoderCache& cache, const Tensor& last) const;

  Seq2SeqOptions options;
  Embedding src_emb, tgt_emb;
  std::optional<LearnedPositions> src_pos, tgt_pos;
  std::optional<SinusoidalPositions> positions;
  Transformer transformer;
  Linear generator;

 private:
  Var embed(Tape& tape, const Embedding& table, const std::optional<LearnedPositions>& learned,
            const Tensor& ids, Index first = 0) const;
};

}  // namespace tapegrad::nn
