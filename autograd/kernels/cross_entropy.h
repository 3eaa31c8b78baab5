/// Softmax cross-entropy with integer targets over a contiguous [rows, vocab] matrix of logits.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace tapegrad::kernels {

/// loss[row] = (1 - eps) * -log p[target] + eps * mean over classes of -log p, p = softmax(logits[row]), eps
/// the `label_smoothing` (Szegedy et al., 2016, arXiv 1512.00567). A row whose target is `ignore_index` loses
/// 0. Every other target must be in [0, vocab), which the caller checks. `losses` (per row) and `log_sum`
/// (per row: log of the sum of e^(x - max), for the backward pass; the maximum stays out of it, so large
/// logits lose no digits) may each be null. Returns the sum of the losses, added in ascending row order in
/// double.
TAPEGRAD_KERNEL(double, cross_entropy_forward,
                (const T* logits, const std::int64_t* targets, Index rows, Index vocab,
                 std::int64_t ignore_index, double label_smoothing, T* losses, T* log_sum),
                (logits, targets, rows, vocab, ignore_index, label_smoothing, losses, log_sum))

/// dlogits += g * (softmax(logits) - (1 - eps) * onehot(target) - eps / vocab), nothing for ignored rows.
/// g = dloss[row], or dloss[0] for every row when `per_row` is false (the cotangent of the sum). dlogits is
/// written instead when `accumulate` is false, with 0 for ignored rows.
TAPEGRAD_KERNEL(void, cross_entropy_backward,
                (const T* logits, const std::int64_t* targets, const T* log_sum, const T* dloss, bool per_row,
                 T* dlogits, Index rows, Index vocab, std::int64_t ignore_index, double label_smoothing,
                 bool accumulate = true),
                (logits, targets, log_sum, dloss, per_row, dlogits, rows, vocab, ignore_index,
                 label_smoothing, accumulate))

}  // namespace tapegrad::kernels
