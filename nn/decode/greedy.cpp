#include <tapegrad/nn/decode/greedy.h>

#include <algorithm>

#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/autograd/ops/slice.h>

namespace tapegrad {

std::vector<std::vector<Index>> greedy_decode(const Seq2Seq& model, Tape& tape,
                                              std::span<const std::vector<Index>> sources,
                                              const DecodeOptions& options) {
  expects(!tape.options().record && !tape.training(),
          "greedy_decode: needs a tape with .record = false that is not training");
  expects(options.max_length >= 1, "greedy_decode: max_length {} must be at least 1", options.max_length);
  std::vector<std::vector<Index>> outputs(sources.size());
  if (sources.empty()) return outputs;
  tape.reset();
  const Seq2SeqBatch batch = make_source_batch(sources, model.options.pad);
  const Var memory = model.encode(tape, batch.source, batch.source_mask);
  const Tape::Mark mark = tape.mark();
  const Index rows = static_cast<Index>(sources.size());
  const Index limit = std::min(options.max_length, model.options.max_length);
  std::vector<char> finished(sources.size());
  Tensor prefix({rows, limit}, DType::i64);  // row-major [batch, step], the first column bos
  prefix.matrix<Index>().col(0).setConstant(options.bos);
  for (Index length = 1; length <= limit; ++length) {
    Tensor target_in({rows, length}, DType::i64);
    target_in.matrix<Index>() = prefix.matrix<Index>().leftCols(length);
    const Var hidden = model.decode(memory, batch.source_mask, target_in);  // [batch, length, d_model]
    const Tensor next = argmax(model.generator(select(hidden, 1, length - 1)), -1);  // [batch]
    tape.rewind(mark);
    bool all_finished = true;
    for (Index row = 0; row < rows; ++row) {
      const auto r = static_cast<std::size_t>(row);
      const Index token = next.data<Index>()[row];
      if (length < limit) prefix.matrix<Index>()(row, length) = token;
      finished[r] |= token == options.eos;
      if (!finished[r]) outputs[r].push_back(token);
      all_finished &= finished[r] != 0;
    }
    if (all_finished) break;
  }
  return outputs;
}

}  // namespace tapegrad
