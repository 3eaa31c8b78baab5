// logits_tool DIR IN.safetensors OUT.safetensors: the logits of a model of `seq2seq train` for the ids `src`
// and `tgt` [batch, time], 0 = padding, as docs/pytorch.md computes them.
#include <tapegrad/nn/io/safetensors.h>

#include <cstdio>

#include "examples/seq2seq/model.h"

using namespace tapegrad;
using namespace tapegrad::nn;

int main(int argc, char** argv) try {
  expects(argc == 4, "logits_tool: DIR IN.safetensors OUT.safetensors expected");
  const auto model = seq2seq::load_model(argv[1]);
  const TensorFile in = load_safetensors(argv[2]);
  const Tensor& src = in.tensors.at("src");
  std::vector<Index> lengths;
  for (Index row = 0; row < src.shape()[0]; ++row) {
    Index length = 0;
    while (length < src.shape()[1] && src.at({row, length}) != 0) ++length;
    lengths.push_back(length);
  }
  Seq2SeqBatch batch;
  batch.source = src;
  batch.target_in = in.tensors.at("tgt");
  batch.source_mask = Mask::from_lengths(lengths);
  Tape tape({.record = false});
  save_safetensors(argv[3], {{{"logits", model->network(tape, batch).value()}}, {}});
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "logits_tool: %s\n", error.what());
  return 1;
}
