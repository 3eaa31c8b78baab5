// Cases of the whole model, tokens to logits and to the summed loss.
#include <tapegrad/nn/seq2seq.h>

#include <tests/parity/layer_case.h>

namespace tapegrad::test {
using namespace nn;
namespace {

constexpr TransformerOptions small = TransformerOptions{.d_model = 4,
                                                        .nhead = 2,
                                                        .num_encoder_layers = 1,
                                                        .num_decoder_layers = 1,
                                                        .dim_feedforward = 5,
                                                        .dropout = 0.1};

constexpr Index bos = 2, eos = 3, first_token = 4;

/// Rows of 5, 3 and 1 tokens on one side and of 2, 4 and 3 on the other.
Seq2SeqBatch batch_of(LayerInputs& in, Index source_end, Index target_end, Index pad) {
  const auto rows = [&](const char* name, const std::vector<Index>& lengths, Index end) {
    const Tensor all = in.ids(name, {10}, first_token, end);
    std::vector<std::vector<Index>> result;
    const Index* at = all.data<Index>();
    for (const Index length : lengths) {
      result.emplace_back(at, at + length);
      at += length;
    }
    return result;
  };
  const Seq2SeqBatch batch = make_batch(rows("drawn_source", {5, 3, 1}, source_end),
                                        rows("drawn_target", {2, 4, 3}, target_end), bos, eos, pad);
  in.constant("src", batch.source);
  in.constant("tgt_in", batch.target_in);
  in.constant("tgt_out", batch.target_out);
  return batch;
}

/// Logits, and the loss of a pass of its own.
VarList logits_and_loss(const Seq2Seq& m, LayerInputs& in) {
  const Seq2SeqOptions& o = m.options;
  const Seq2SeqBatch batch = batch_of(in, o.source_vocabulary, o.target_vocabulary, o.pad);
  return {m(in.tape(), batch), m.loss_sum(in.tape(), batch, 0.1)};
}

/// The targets' padding is not masked: under the causal mask only padding attends to padding.
constexpr const char* call =
    "(m(src, tgt_in), F.cross_entropy(m(src, tgt_in).flatten(0, 1), tgt_out.flatten(), ignore_index=m.pad, "
    "label_smoothing=0.1, reduction='sum'))";

const LayerCases models([] {
  return std::vector<LayerCase>{layer_case<Seq2Seq>(
                                    "Seq2Seq: sinusoidal positions", "Seq2Seq(9, 8, (4, 2, 1, 1, 5))", call,
                                    [](const Scope& s) {
                                      return Seq2Seq(s, Seq2SeqOptions{.source_vocabulary = 9,
                                                                       .target_vocabulary = 8,
                                                                       .transformer = small,
                                                                       .max_length = 6});
                                    },
                                    logits_and_loss),
                                layer_case<Seq2Seq>(
                                    "Seq2Seq: learned positions, tied, another padding id",
                                    "Seq2Seq(7, 9, (4, 2, 1, 1, 5), learned=6, tied=True, pad=1)", call,
                                    [](const Scope& s) {
                                      return Seq2Seq(s, Seq2SeqOptions{.source_vocabulary = 7,
                                                                       .target_vocabulary = 9,
                                                                       .transformer = small,
                                                                       .positions = Positions::learned,
                                                                       .max_length = 6,
                                                                       .tie_embeddings = true,
                                                                       .pad = 1});
                                    },
                                    logits_and_loss)};
});

}  // namespace
}  // namespace tapegrad::test
