#include "norm.h"

#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/dropout.h"
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

NormedSum LayerNorm::forward(const Var& x, const Var& f, double p) const {
  Tape& tape = x.tape();
  return add_layer_norm(x, f, tape[weight], bias ? tape[bias] : Var(), eps, p);
}

NormedSum add_norm(const LayerNorm& norm, const Var& x, const Var& f, double p) {
  if (x.tape("layer").options().fused) return norm(x, f, p);
  const Var sum = x + dropout(f, p);
  return {norm(sum), sum};
}

RMSNorm::RMSNorm(const Scope& scope, Index width, double epsilon)
    : Layer(scope), weight(scope.parameter("weight", {width}, ones)), eps(epsilon) {}

Var RMSNorm::forward(const Var& x) const { return rms_norm(x, x.tape()[weight], eps); }

}  // namespace tapegrad::nn
