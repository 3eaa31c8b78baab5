#include "examples/seq2seq/attention_picture.h"

#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/decode/greedy.h>

#include "examples/support/model_attention.h"

namespace tapegrad::seq2seq {
using namespace nn;
void check_sentence(const Model& model, const std::string& sentence) {
  const std::size_t tokens = model.source_tokens.split(sentence).size();
  const auto limit = static_cast<std::size_t>(model.config.max_length);
  if (tokens == 0 || tokens > limit)
    throw DataError(fmt::format("--attention: got a sentence of {} tokens, expected 1 to {}", tokens, limit));
}

void draw_attention(const Model& model, const std::string& sentence, const std::string& path) {
  check_sentence(model, sentence);
  const std::vector<Index> source = model.encode_source(sentence);
  Tape tape({.record = false});
  const auto outputs =
      greedy_decode(model.network, tape, {&source, 1},
                    {.bos = Vocabulary::bos, .eos = Vocabulary::eos, .max_length = model.longest_output});
  AttentionPicture picture = examples::model_attention(
      model.network, source, outputs[0], Vocabulary::bos,
      [&](Index id) { return std::string(model.source.token(id)); },
      [&](Index id) { return std::string(model.target.token(id)); });
  picture.title = fmt::format("{} → {}", sentence, model.spell(outputs[0]));
  write_file(path, attention_svg(picture));
}

}  // namespace tapegrad::seq2seq
