/// Kernels written with Eigen's expressions, compiled for this processor.
#pragma once
#include <cstdint>

namespace tapegrad::bench {

void softmax_eigen(const float* x, float* y, std::int64_t rows, std::int64_t n);
void layer_norm_eigen(const float* x, const float* gamma, const float* beta, float* y, std::int64_t rows,
                      std::int64_t n);
void adam_eigen(float* param, const float* grad, float* m, float* v, std::int64_t n);

}  // namespace tapegrad::bench
