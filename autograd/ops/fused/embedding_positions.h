#pragma once
#include <optional>

#include "../../tape.h"

namespace tapegrad {

struct EmbeddingPositionsOptions {
  double scale = 1;
  std::optional<Index> padding_idx = std::nullopt;  ///< a row of `weight` that gets no gradient
  Index first = 0;                                  ///< row of `positions` for the first token
};

/// y[..., t, :] = scale · weight[ids[..., t], :] + positions[first + t, :];  dweight[ids[..., t], :] += scale
/// · dy[..., t, :], dpositions[first + t, :] += dy[..., t, :] (Vaswani et al., 2017, 3.4 and 3.5).
///
///   weight [rows, width], positions [length, width], ids [..., time] -> [..., time, width]
///
/// Row padding_idx of dweight gets nothing. The same bits as the three ops. Throws as `embedding` does for
/// ids, and when the shapes do not fit or first + time exceeds length.
Var embedding_positions(const Var& weight, const Var& positions, const Tensor& ids,
                        const EmbeddingPositionsOptions& options = {});

}  // namespace tapegrad
