#include "norm.h"

#include "../autograd/ops/norm.h"
#include "init.h"

namespace tapegrad::nn {

LayerNorm::LayerNorm(const Scope& scope, Index width, const LayerNormOptions& options)
    : Layer(scope),
      weight(scope.parameter("weight", {width}, ones)),
      bias(options.bias ? scope.parameter("bias", {width}, zeros) : Parameter()),
      eps(options.eps) {}

Var LayerNorm::forward(const Var& x) const { return layer_norm(x, weight, bias, eps); }

RMSNorm::RMSNorm(const Scope& scope, Index width, double epsilon)
    : Layer(scope), weight(scope.parameter("weight", {width}, ones)), eps(epsilon) {}

Var RMSNorm::forward(const Var& x) const { return rms_norm(x, weight, eps); }

}  // namespace tapegrad::nn
