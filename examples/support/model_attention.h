#pragma once
#include <functional>
#include <string>
#include <vector>

#include <tapegrad/nn/seq2seq.h>

#include "examples/support/svg.h"

namespace tapegrad::examples {

/// The attention weights of every head of every layer while `model` reads `source` and is fed bos and
/// `target`; `source_name` and `target_name` spell the ids. Maps come in the order in which the layers ran:
/// encoder, then each decoder layer's own and its look at the source.
AttentionPicture model_attention(const nn::Seq2Seq& model, const std::vector<Index>& source,
                                 const std::vector<Index>& target, Index bos,
                                 const std::function<std::string(Index)>& source_name,
                                 const std::function<std::string(Index)>& target_name);

}  // namespace tapegrad::examples
