/// Layer norm and RMS norm as layers.
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
  operator NormPart() const { return {weight, bias, eps, &path()}; }

  Parameter weight, bias;
  double eps;
};

/// y = x / √(mean(x²) + ε) ⊙ weight over the last axis (Zhang and Sennrich, 2019).   [.., width] -> same
struct RMSNorm : Layer<RMSNorm> {
  RMSNorm(const Scope& scope, Index width, double eps = 1e-6);
  Var forward(const Var& x) const;

  Parameter weight;
  double eps;
};

}  // namespace tapegrad::nn
