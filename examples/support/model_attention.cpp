#include "examples/support/model_attention.h"

#include <algorithm>

namespace tapegrad::examples {
using namespace nn;

AttentionPicture model_attention(const Seq2Seq& model, const std::vector<Index>& source,
                                 const std::vector<Index>& target, Index bos,
                                 const std::function<std::string(Index)>& source_name,
                                 const std::function<std::string(Index)>& target_name) {
  const auto spell = [](const std::vector<Index>& ids, const auto& name) {
    std::vector<std::string> tokens;
    std::transform(ids.begin(), ids.end(), std::back_inserter(tokens), name);
    return tokens;
  };
  std::vector<Index> fed = {bos};
  fed.insert(fed.end(), target.begin(), target.end());
  const std::vector<std::string> source_tokens = spell(source, source_name),
                                 fed_tokens = spell(fed, target_name);

  Tape tape({.record = false});
  tape.observers().collect("*.weights");
  const Seq2SeqBatch batch = make_source_batch({&source, 1}, model.options.pad);
  const Var memory = model.encode(tape, batch.source, batch.source_mask);
  model.decode(memory, batch.source_mask, Tensor::ids(fed, {1, static_cast<Index>(fed.size())}));

  AttentionPicture picture;
  picture.columns = static_cast<int>(model.options.transformer.nhead);
  for (const Tap& tap : tape.observers().collected()) {
    const bool encoder = tap.name.find("encoder.layers") != std::string::npos;
    const bool cross = tap.name.find("multihead_attn") != std::string::npos;
    const Tensor weights = tap.value.value();  // [1, heads, query, key]
    const Index heads = weights.shape()[1], cells = weights.shape()[2] * weights.shape()[3];
    for (Index head = 0; head < heads; ++head) {
      const float* first = weights.data<float>() + head * cells;
      picture.maps.push_back(
          {.title = fmt::format("{}, head {}", tap.name.substr(0, tap.name.rfind('.')), head),
           .queries = encoder ? source_tokens : fed_tokens,
           .keys = encoder || cross ? source_tokens : fed_tokens,
           .weights = std::vector<float>(first, first + cells)});
    }
  }
  return picture;
}

}  // namespace tapegrad::examples
