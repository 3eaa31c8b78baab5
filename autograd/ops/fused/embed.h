/// Token embedding and positions in one op.
#pragma once
#include <optional>

#include "../../tape.h"

namespace tapegrad {

/// An embedding as a composite op takes it, to which nn::Embedding converts: the table [rows, width], the
/// row that gets no gradient, if there is one, and the layer's path, or null for a table of no layer.
struct EmbeddingPart {
  Operand table;
  std::optional<Index> padding_idx = std::nullopt;
  const std::string* path = nullptr;
};

/// A layer that adds positions as a composite op takes it: its table [length, width] and its path, or null.
struct PositionsPart {
  Operand table;
  const std::string* path = nullptr;
};

struct EmbedOptions {
  double scale = 1;
  Index first = 0;  ///< row of the positions' table for the first token
};

/// y[..., t, :] = scale · E[ids[..., t], :] + P[first + t, :];  dE[ids[..., t], :] += scale · dy[..., t, :],
/// dP[first + t, :] += dy[..., t, :] (Vaswani et al., 2017, 3.4 and 3.5).
///
///   E [rows, width], P [length, width], ids [..., time] -> [..., time, width]
///
/// The parts have a path each, or none. Row padding_idx of dE gets nothing. The bits are those of the three
/// ops. Throws as `embedding` does for ids, and when the shapes do not fit or first + time exceeds length.
Var embed(Tape& tape, const Tensor& ids, const EmbeddingPart& table, const PositionsPart& positions,
          const EmbedOptions& options = {});

/// y = x + P[first .. first + time], repeated over the leading axes of x.
///   x [.., time, width], P [length, width] -> [.., time, width]
/// Throws when the widths differ or first + time exceeds length.
Var add_positions(const Var& x, const Operand& table, Index first = 0);

}  // namespace tapegrad
