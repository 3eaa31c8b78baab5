#pragma once
#include "../autograd/ops/fused/add_norm.h"
#include "layer.h"

namespace tapegrad::nn {

struct LayerNormOptions {
  double eps = 1e-5;
  bool bias = true;
};

/// y = (x − mean) / √(variance + ε) ⊙ weight + bias over the last axis, biased variance (Ba et al., 2016).
/// [.., width] -> same
struct LayerNorm : Layer<LayerNorm> {
  LayerNorm(const Scope& scope, Index width, const LayerNormOptions& options = {});
  Var forward(const Var& x) const;
  /// Of x + dropout(f, p), in one pass, with that sum.
  NormedSum forward(const Var& x, const Var& f, double p) const;

  Parameter weight, bias;
  double eps;
};

/// x + dropout(f, p) and `norm` of it, as a Transformer's sublayers end: one op on fused tapes, three on
/// others, with the same bits, draws and hooks.
NormedSum add_norm(const LayerNorm& norm, const Var& x, const Var& f, double p);

/// y = x / √(mean(x²) + ε) ⊙ weight over the last axis (Zhang and Sennrich, 2019).   [.., width] -> same
struct RMSNorm : Layer<RMSNorm> {
  RMSNorm(const Scope& scope, Index width, double eps = 1e-6);
  Var forward(const Var& x) const;

  Parameter weight;
  double eps;
};

}  // namespace tapegrad::nn
