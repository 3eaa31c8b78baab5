#pragma once
#include <tapegrad/autograd/inspect/explain/explanation.h>

#include <tests/support/small_seq2seq.h>

namespace tapegrad::test {

/// One sentence through a small Transformer of one layer a side, recorded to be explained: 6 source and 5
/// target tokens, two heads.
struct ExplainedRun {
  explicit ExplainedRun(bool norm_first = false, double dropout = 0, bool show_parts = true,
                        DType dtype = DType::f64, double smoothing = 0, Index batch = 1)
      : params(3),
        model(params.root(), {.source_vocabulary = 11,
                              .target_vocabulary = 13,
                              .transformer = {.d_model = 8,
                                              .nhead = 2,
                                              .num_encoder_layers = 1,
                                              .num_decoder_layers = 1,
                                              .dim_feedforward = 12,
                                              .dropout = dropout,
                                              .norm_first = norm_first},
                              .max_length = 12}),
        tape({.dtype = dtype, .training = dropout > 0, .show_parts = show_parts, .seed = 5}) {
    shake(params, 0.3);
    const auto examples = static_cast<std::size_t>(batch);
    const Rows sources(examples, {3, 4, 5, 6, 7, 2}), targets(examples, {5, 3, 4, 8});
    const nn::Seq2SeqBatch read = nn::make_batch(sources, targets, bos, eos);
    loss =
        cross_entropy(model(tape, read), read.target_out, {.ignore_index = 0, .label_smoothing = smoothing});
  }

  ParameterStore params;
  nn::Seq2Seq model;
  Tape tape;
  Var loss;
  std::vector<std::string> source = {"a", "b", "c", "d", "e", "<eos>"},
                           target = {"<bos>", "x", "y", "z", "w"}, label = {"x", "y", "z", "w", "<eos>"};
  ExplainOptions options = {.title = "a run", .source = source, .target = target, .label = label};
};

}  // namespace tapegrad::test
