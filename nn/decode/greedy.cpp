#include "greedy.h"

#include <algorithm>
#include <numeric>

#include "../../autograd/ops/reduce.h"
#include "next_tokens.h"

namespace tapegrad::nn {

std::vector<std::vector<Index>> greedy_decode(const Seq2Seq& model, Tape& tape,
                                              std::span<const std::vector<Index>> sources,
                                              const DecodeOptions& options) {
  expects(!tape.options().record && !tape.training(),
          "greedy_decode: needs a tape with .record = false that is not training");
  expects(options.max_length >= 1, "greedy_decode: max_length {} must be at least 1", options.max_length);
  std::vector<std::vector<Index>> outputs(sources.size());
  if (sources.empty()) return outputs;
  const Index limit = std::min(options.max_length, model.options.max_length);
  NextTokens next(model, tape, sources, options.weights);
  std::vector<Index> open(sources.size());  // [rows]: the output that a row writes
  std::iota(open.begin(), open.end(), Index{0});
  std::vector<Index> last(sources.size(), options.bos), chosen(sources.size()), kept;
  kept.reserve(sources.size());
  for (Index length = 1; length <= limit && !open.empty(); ++length) {
    argmax_rows(next.logits(last), chosen);
    kept.clear();
    for (std::size_t row = 0; row < open.size(); ++row) {
      if (chosen[row] == options.eos) continue;
      outputs[static_cast<std::size_t>(open[row])].push_back(chosen[row]);
      open[kept.size()] = open[row];
      last[kept.size()] = chosen[row];
      kept.push_back(static_cast<Index>(row));
    }
    if (kept.size() == open.size()) continue;
    for (auto* table : {&open, &last, &chosen}) table->resize(kept.size());
    if (!kept.empty()) next.select(kept);
  }
  return outputs;
}

}  // namespace tapegrad::nn
