/// Maps and sums over contiguous arrays. The bits of an element do not depend on its position in the array.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace tapegrad::kernels {

/// y[i] = f(x[i]); y may be x. In float each is within 2 ulp of the true value (gelu_*: 4 ulp, or 1e-7 near
/// 0).
TAPEGRAD_KERNEL(void, exp, (const T* x, T* y, Index n), (x, y, n))
TAPEGRAD_KERNEL(void, log, (const T* x, T* y, Index n), (x, y, n))
TAPEGRAD_KERNEL(void, tanh, (const T* x, T* y, Index n), (x, y, n))
TAPEGRAD_KERNEL(void, sigmoid, (const T* x, T* y, Index n), (x, y, n))

/// y = max(x, 0); NaN passes.
TAPEGRAD_KERNEL(void, relu, (const T* x, T* y, Index n), (x, y, n))
// The backward kernels add to dx. When `accumulate` is false they write it, with the bits of adding to +0.

/// dx += x > 0 ? dy : 0. The output y may stand for x.
TAPEGRAD_KERNEL(void, relu_backward, (const T* x, const T* dy, T* dx, Index n, bool accumulate = true),
                (x, dy, dx, n, accumulate))

/// dx = x > 0 ? dy : 0 for rows of n values; dbias (n values, or null) += their sum over rows, ascending. dx
/// may be dy; the output y may stand for x.
TAPEGRAD_KERNEL(void, relu_gradient, (const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias),
                (x, dy, dx, rows, n, dbias))

/// y = x * Phi(x), Phi the normal distribution function, in erf's accuracy (Hendrycks and Gimpel, 2016, arXiv
/// 1606.08415).
TAPEGRAD_KERNEL(void, gelu, (const T* x, T* y, Index n), (x, y, n))
/// dx += dy * (Phi(x) + x * phi(x)).
TAPEGRAD_KERNEL(void, gelu_backward, (const T* x, const T* dy, T* dx, Index n, bool accumulate = true),
                (x, dy, dx, n, accumulate))

/// dx = dy * (Phi(x) + x * phi(x)), otherwise as relu_gradient.
TAPEGRAD_KERNEL(void, gelu_gradient, (const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias),
                (x, dy, dx, rows, n, dbias))

/// y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), the tanh approximation of gelu.
TAPEGRAD_KERNEL(void, gelu_tanh, (const T* x, T* y, Index n), (x, y, n))
TAPEGRAD_KERNEL(void, gelu_tanh_backward, (const T* x, const T* dy, T* dx, Index n, bool accumulate = true),
                (x, dy, dx, n, accumulate))

/// dst += src.
TAPEGRAD_KERNEL(void, add_into, (T * dst, const T* src, Index n), (dst, src, n))
/// y = a + b; y may be a or b.
TAPEGRAD_KERNEL(void, add, (const T* a, const T* b, T* y, Index n), (a, b, y, n))
/// y = x * factor; y may be x.
TAPEGRAD_KERNEL(void, scale, (const T* x, T factor, T* y, Index n), (x, factor, y, n))

/// Sum by the 16-lane rule: element i goes to lane i % 16 in ascending order, then a fixed tree adds the
/// lanes.
TAPEGRAD_KERNEL(T, sum, (const T* x, Index n), (x, n))
/// Sum of squares by the 16-lane rule.
TAPEGRAD_KERNEL(T, sum_squares, (const T* x, Index n), (x, n))

/// dst[j] (+)= sum over rows of src[row * ld + j], rows ascending, starting from 0 or from the old dst.
TAPEGRAD_KERNEL(void, sum_rows, (const T* src, Index rows, Index n, Index ld, T* dst, bool accumulate),
                (src, rows, n, ld, dst, accumulate))

/// dst[j * ld_dst + i] = src[i * ld_src + j] for src [rows, cols]; no overlap.
TAPEGRAD_KERNEL(void, transpose, (const T* src, Index rows, Index cols, Index ld_src, T* dst, Index ld_dst),
                (src, rows, cols, ld_src, dst, ld_dst))

}  // namespace tapegrad::kernels
