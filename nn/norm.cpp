#include "norm.h"

#include "../autograd/ops/norm.h"
#include "init.h"

namespace tapegrad::nn {

LayerNorm::LayerNorm(const Scope& scope, Index width, const LayerNormOptions& options)
    : Layer(scope),
      weight(scope.parameter("weight", {width}, ones)),
      bias(options.bias ? scope.parameter("bias", {width}, zeros) : Parameter()),
      eps(options.eps) {}

Var LayerNorm::forward(const Var& x) const {
  Tape& tape = x.tape();
  return layer_norm(x, tape[weight], bias ? tape[bias] : Var(), eps);
}

RMSNorm::RMSNorm(const Scope& scope, Index width, double epsilon)
    : Layer(scope), weight(scope.parameter("weight", {width}, ones)), eps(epsilon) {}

Var RMSNorm::forward(const Var& x) const { return rms_norm(x, x.tape()[weight], eps); }

}  // namespace tapegrad::nn
