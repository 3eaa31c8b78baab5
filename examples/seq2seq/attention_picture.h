/// Draws a model's attention weights for one sentence.
#pragma once
#include <string>

#include "examples/seq2seq/model.h"

namespace tapegrad::seq2seq {

/// Throws DataError when the sentence has no tokens or more than the model takes.
void check_sentence(const Model& model, const std::string& sentence);

/// Draws the attention weights of every head into the SVG file `path`, for `sentence` and the model's own
/// greedy output: encoder and decoder self-attention, then the decoder over the source. Throws as
/// `check_sentence`.
void draw_attention(const Model& model, const std::string& sentence, const std::string& path);

}  // namespace tapegrad::seq2seq
