/// Maps and sums over contiguous arrays. Every element has the same bits wherever it stands in an array.
#pragma once

#include <cstdint>

namespace tapegrad::kernels {

using Index = std::int64_t;

/// y[i] = f(x[i]); y may be x. In float each is within 2 ulp of the true value (gelu_*: 4 ulp, or 1e-7 near
/// 0).
template <class T>
void exp(const T* x, T* y, Index n);
template <class T>
void log(const T* x, T* y, Index n);
template <class T>
void tanh(const T* x, T* y, Index n);
template <class T>
void sigmoid(const T* x, T* y, Index n);
template <class T>
void erf(const T* x, T* y, Index n);

/// y = max(x, 0); NaN passes.
template <class T>
void relu(const T* x, T* y, Index n);
// The backward kernels add to dx, or write it when `accumulate` is false, as if it had held +0: the same
// bits.

/// dx += x > 0 ? dy : 0. The output y may stand for x.
template <class T>
void relu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate = true);

/// dx = x > 0 ? dy : 0 for rows of n values; dbias (n values, or null) += their sum over rows, ascending. dx
/// may be dy; the output y may stand for x.
template <class T>
void relu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias);

/// y = x * Phi(x), Phi the normal distribution function, in erf's accuracy (Hendrycks and Gimpel, 2016, arXiv
/// 1606.08415).
template <class T>
void gelu(const T* x, T* y, Index n);
/// dx += dy * (Phi(x) + x * phi(x)).
template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate = true);

/// dx = dy * (Phi(x) + x * phi(x)), otherwise as relu_gradient.
template <class T>
void gelu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias);

/// y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), the tanh approximation of gelu.
template <class T>
void gelu_tanh(const T* x, T* y, Index n);
template <class T>
void gelu_tanh_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate = true);

/// dst += src.
template <class T>
void add_into(T* dst, const T* src, Index n);
/// y = a + b; y may be a or b.
template <class T>
void add(const T* a, const T* b, T* y, Index n);
/// y = x * factor; y may be x.
template <class T>
void scale(const T* x, T factor, T* y, Index n);

/// Sum by the 16-lane rule: element i goes to lane i % 16 in ascending order, then a fixed tree adds the
/// lanes.
template <class T>
T sum(const T* x, Index n);
/// Sum of squares by the same rule.
template <class T>
T sum_squares(const T* x, Index n);
/// Maximum; -inf when n is 0, NaN when any element is.
template <class T>
T max(const T* x, Index n);

/// dst[j] (+)= sum over rows of src[row * ld + j], rows ascending, starting from 0 or from the old dst.
template <class T>
void sum_rows(const T* src, Index rows, Index n, Index ld, T* dst, bool accumulate);

/// dst[j * ld_dst + i] = src[i * ld_src + j] for src [rows, cols]; no overlap.
template <class T>
void transpose(const T* src, Index rows, Index cols, Index ld_src, T* dst, Index ld_dst);

}  // namespace tapegrad::kernels
