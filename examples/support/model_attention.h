/// The attention weights of a model as data for a picture.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <tapegrad/nn/seq2seq.h>

#include "examples/support/svg.h"

namespace tapegrad::examples {

/// The attention weights of every head of every layer while `model` reads `source` and is fed bos and
/// `target`; `source_name` and `target_name` spell the ids. Maps are in the order in which the layers run:
/// encoder, then self- and cross-attention of each decoder layer.
AttentionPicture model_attention(const nn::Seq2Seq& model, const std::vector<Index>& source,
                                 const std::vector<Index>& target, Index bos,
                                 const std::function<std::string(Index)>& source_name,
                                 const std::function<std::string(Index)>& target_name);

}  // namespace tapegrad::examples
