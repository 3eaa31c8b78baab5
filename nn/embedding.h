/// The embedding table as a layer.
#pragma once
#include <optional>

#include "../autograd/ops/fused/embed.h"
#include "layer.h"

namespace tapegrad::nn {

struct EmbeddingOptions {
  std::optional<Index> padding_idx = std::nullopt;  ///< a row that starts as zeros and gets no gradient
  Initializer init = nullptr;                       ///< default N(0, 1)
};

/// Row `ids[..]` of the table `weight` [count, width].   ids [..] -> [.., width]. An id out of range throws
/// with its position.
struct Embedding : Layer<Embedding> {
  Embedding(const Scope& scope, Index count, Index width, const EmbeddingOptions& options = {});

  Var forward(Tape& tape, const Tensor& ids) const;
  operator EmbeddingPart() const { return {weight, padding_idx, &path()}; }

  Parameter weight;
  std::optional<Index> padding_idx;
};

}  // namespace tapegrad::nn
