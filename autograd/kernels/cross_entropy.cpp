#include "cross_entropy.h"
#include "simd/rows.h"
#include "simd/vector_math.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
double cross_entropy_forward(const T* logits, const std::int64_t* targets, Index rows, Index vocab,
                             std::int64_t ignore_index, double label_smoothing, T* losses, T* log_sum) {
  double total = 0;
  for (Index row = 0; row < rows; ++row) {
    const T* x = logits + row * vocab;
    const bool ignored = targets[row] == ignore_index;
    if (ignored) {
      if (losses) losses[row] = 0;
      if (log_sum) log_sum[row] = 0;  // not used by the backward
      continue;
    }
    const T max = row_max(x, vocab);
    Lanes<T> exps(0), plain(0);
    for_row<T>(
        vocab, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
          const Vector<T> v = mask.load(x + j);
          exps.part[part] += mask.select(exp(v - max), T{0});
          plain.part[part] += mask.select(v - max, T{0});
        });
    const double above = __builtin_log(static_cast<double>(exps.sum()));
    double loss = above + (static_cast<double>(max) - static_cast<double>(x[targets[row]]));
    if (label_smoothing != 0) {
      const double uniform = above - static_cast<double>(plain.sum()) / static_cast<double>(vocab);
      loss = (1 - label_smoothing) * loss + label_smoothing * uniform;
    }
    if (losses) losses[row] = static_cast<T>(loss);
    if (log_sum) log_sum[row] = static_cast<T>(above);
    total += loss;
  }
  return total;
}

template <class T>
void cross_entropy_backward(const T* logits, const std::int64_t* targets, const T* log_sum, const T* dloss,
                            bool per_row, T* dlogits, Index rows, Index vocab, std::int64_t ignore_index,
                            double label_smoothing, bool accumulate) {
  const T spread = static_cast<T>(label_smoothing / static_cast<double>(vocab));
  const T peak = static_cast<T>(1 - label_smoothing);
  for (Index row = 0; row < rows; ++row) {
    const T* x = logits + row * vocab;
    T* dx = dlogits + row * vocab;
    if (targets[row] == ignore_index) {
      for (Index j = 0; j < vocab && !accumulate; ++j) dx[j] = 0;
      continue;
    }
    const T g = dloss[per_row ? row : 0];
    const T max = row_max(x, vocab), above = log_sum[row];
    T& at_target = dx[targets[row]];
    const T old = accumulate ? at_target : 0;
    for_each_vector<T>(
        vocab, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dx + j, fma(exp(mask.load(x + j) - max - above) - spread, splat(g),
                                 load_sum(accumulate, mask, dx + j)));
        });
    // Recomputes the target's element with the subtraction before the product, so that p - 1 + eps keeps its
    // small digits.
    const Vector<T> p = exp(splat(x[targets[row]] - max - above)) - spread - peak;
    at_target = fma(p[0], g, old);
  }
}

TAPEGRAD_INSTANTIATE(cross_entropy_forward)
TAPEGRAD_INSTANTIATE(cross_entropy_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
