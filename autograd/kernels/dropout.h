/// Dropout of one array: which elements are kept is a pure function of (key, element), so that forward and
/// backward agree without storing a mask.
#pragma once

#include <cstdint>

#include "../base/random.h"
#include "kernel.h"

namespace tapegrad::kernels {

/// Dropout of probability `p` in [0, 1] keeps an element when its random bits are at least this threshold, p
/// * 2^32.
[[gnu::always_inline]] inline constexpr std::uint64_t dropout_threshold(double p) {
  return static_cast<std::uint64_t>(p * 4294967296.0);
}

/// y[i] = kept ? x[i] * (1 / (1 - p)) : 0, where element `first_element + i` decides. y may be x. p = 1 gives
/// zeros.
TAPEGRAD_KERNEL(void, dropout_forward,
                (const T* x, T* y, Index n, double p, RandomKey key, std::uint64_t first_element = 0),
                (x, y, n, p, key, first_element))

/// dx[i] += kept ? dy[i] * (1 / (1 - p)) : 0 with the forward's kept elements.
TAPEGRAD_KERNEL(void, dropout_backward,
                (const T* dy, T* dx, Index n, double p, RandomKey key, std::uint64_t first_element = 0,
                 bool accumulate = true),
                (dy, dx, n, p, key, first_element, accumulate))

}  // namespace tapegrad::kernels
