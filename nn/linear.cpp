#include "linear.h"

#include "../autograd/ops/linear.h"
#include "init.h"

namespace tapegrad::nn {
namespace {

Parameter make_bias(const Scope& scope, Index in, Index out, const LinearOptions& options) {
  if (!options.bias) return {};
  return scope.parameter("bias", {out}, options.bias_init ? options.bias_init : fan_in_uniform(in));
}

}  // namespace

Linear::Linear(const Scope& scope, Index in, Index out, const LinearOptions& options)
    : Layer(scope),
      weight(scope.parameter("weight", {out, in},
                             options.weight_init ? options.weight_init : fan_in_uniform(in))),
      bias(make_bias(scope, in, out, options)) {}

Linear::Linear(const Scope& scope, const Tied& shared, const LinearOptions& options)
    : Layer(scope),
      weight(scope.tie("weight", shared.weight)),
      bias(make_bias(scope, weight.shape()[1], weight.shape()[0], options)) {}

Var Linear::forward(const Var& x) const { return linear(x, weight, bias); }

}  // namespace tapegrad::nn
