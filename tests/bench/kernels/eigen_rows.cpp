// Compiled for the processor at hand. The namespace is renamed so that nothing here is taken for the
// library's own, portably compiled instances of Eigen's templates.
#define Eigen TapegradBenchEigen
#include <Eigen/Core>

#include "tests/bench/kernels/eigen_rows.h"

namespace tapegrad::bench {
namespace {

using Flat = Eigen::Map<Eigen::ArrayXf>;
using ConstFlat = Eigen::Map<const Eigen::ArrayXf>;

}  // namespace

void softmax_eigen(const float* x, float* y, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const ConstFlat in(x + r * n, n);
    Flat out(y + r * n, n);
    out = (in - in.maxCoeff()).exp();
    out *= 1 / out.sum();
  }
}

void layer_norm_eigen(const float* x, const float* gamma, const float* beta, float* y, std::int64_t rows,
                      std::int64_t n) {
  const ConstFlat gain(gamma, n), bias(beta, n);
  for (std::int64_t r = 0; r < rows; ++r) {
    const ConstFlat in(x + r * n, n);
    const float mean = in.mean(), variance = (in - mean).square().mean();
    Flat(y + r * n, n) = (in - mean) * (1 / std::sqrt(variance + 1e-5f)) * gain + bias;
  }
}

void adam_eigen(float* param, const float* grad, float* m, float* v, std::int64_t n) {
  const ConstFlat g(grad, n);
  Flat p(param, n), first(m, n), second(v, n);
  first = 0.9f * first + 0.1f * g;
  second = 0.999f * second + 0.001f * g.square();
  p -= 1e-3f * first / (second.sqrt() + 1e-8f);
}

}  // namespace tapegrad::bench
