/// Initialisers of parameters. The values depend on the store's seed and the parameter's path alone: they are
/// equal on every machine and differ between layers. For a weight [out, in], fan_in is its number of columns
/// and fan_out its number of rows.
#pragma once
#include "../autograd/parameter.h"

namespace tapegrad::nn {

void zeros(Tensor& values, RandomKey key);
void ones(Tensor& values, RandomKey key);
Initializer constant(double value);
/// U(low, high).
Initializer uniform(double low, double high);
/// N(mean, deviation²) by Marsaglia's polar method.
Initializer normal(double mean = 0, double deviation = 1);
/// U(±gain · √(6 / (fan_in + fan_out))) (Glorot and Bengio, 2010).
Initializer xavier_uniform(double gain = 1);
/// N(0, gain² · 2 / (fan_in + fan_out)).
Initializer xavier_normal(double gain = 1);
/// U(±√(6 / fan_in)), for relu (He et al., 2015).
Initializer kaiming_uniform();
/// N(0, 2 / fan_in).
Initializer kaiming_normal();
/// U(±1 / √fan_in): PyTorch's default for Linear.
Initializer fan_in_uniform(Index fan_in);
/// `init`, then zeros in one row: the padding row of an embedding.
Initializer with_zero_row(Initializer init, Index row);

}  // namespace tapegrad::nn
