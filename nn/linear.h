/// The linear layer.
#pragma once
#include "../autograd/ops/fused/linear_activation.h"
#include "layer.h"

namespace tapegrad::nn {

/// Says that a layer shares a weight with another: `Linear(scope, tied(embedding.weight))`.
struct Tied {
  Parameter weight;
};
inline Tied tied(const Parameter& weight) { return {weight}; }

struct LinearOptions {
  bool bias = true;
  Initializer weight_init = nullptr;  ///< default U(±1/√in)
  Initializer bias_init = nullptr;    ///< default U(±1/√in)
};

/// y = x Wᵀ + b.   x [.., in] -> [.., out]; `weight` [out, in], `bias` [out] (empty without).
struct Linear : Layer<Linear> {
  Linear(const Scope& scope, Index in, Index out, const LinearOptions& options = {});
  /// Shares a weight [out, in] of the same store, which learns that `scope.weight` is another name of it (see
  /// ParameterStore::ties); only the bias is a parameter of its own.
  Linear(const Scope& scope, const Tied& shared, const LinearOptions& options = {});

  Var forward(const Var& x) const;
  operator LinearPart() const { return {weight, bias, &path()}; }

  Parameter weight, bias;
};

}  // namespace tapegrad::nn
