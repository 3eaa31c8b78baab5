/// Position encodings: the sinusoidal table, and a learned one.
#pragma once
#include "../autograd/ops/fused/embed.h"
#include "layer.h"

namespace tapegrad::nn {

/// Table [length, width] of PE(t, 2i) = sin(t / 10000^(2i/width)), PE(t, 2i+1) = cos(…) (Vaswani et al.,
/// 2017, 3.5), in f64.
Tensor sinusoidal_positions(Index length, Index width);

/// Adds the sinusoidal table, from position `first` on. The table is computed, not saved. Throws beyond
/// `max_length`.
///   x [batch, time, width] -> [batch, time, width]
struct SinusoidalPositions : Layer<SinusoidalPositions> {
  SinusoidalPositions(const Scope& scope, Index max_length, Index width);
  Var forward(const Var& x, Index first = 0) const;

  operator PositionsPart() const { return {table, &path()}; }

  Parameter table;  // a buffer outside of the store
};

/// Initialises a table with the sinusoids.
void sinusoidal(Tensor& table, RandomKey key);

/// Adds a trained table `weight` [max_length, width], which `init` initialises, from position `first` on.
///   x [batch, time, width] -> [batch, time, width]
struct LearnedPositions : Layer<LearnedPositions> {
  LearnedPositions(const Scope& scope, Index max_length, Index width, const Initializer& init = sinusoidal);
  Var forward(const Var& x, Index first = 0) const;
  operator PositionsPart() const { return {weight, &path()}; }

  Parameter weight;
};

}  // namespace tapegrad::nn
