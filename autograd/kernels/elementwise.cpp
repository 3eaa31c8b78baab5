#include "elementwise.h"
#include "simd/rows.h"
#include "simd/vector_math.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

/// y = f(x).
template <class T, class F>
TAPEGRAD_INLINE void map(const T* x, T* y, Index n, F f) {
  for_each_vector<T>(
      n, [&](auto mask, Index i) __attribute__((always_inline)) { mask.store(y + i, f(mask.load(x + i))); });
}

/// dx += dy * f(x).
template <class T, class F>
TAPEGRAD_INLINE void map_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate, F f) {
  for_each_vector<T>(
      n, [&](auto mask, Index i) __attribute__((always_inline)) {
        mask.store(dx + i, fma(mask.load(dy + i), f(mask.load(x + i)), load_sum(accumulate, mask, dx + i)));
      });
}

}  // namespace

#define TAPEGRAD_MAP(name, expression)                                                   \
  template <class T>                                                                     \
  void name(const T* x, T* y, Index n) {                                                 \
    map<T>(                                                                              \
        x, y, n, [](Vector<T> v) __attribute__((always_inline)) { return expression; }); \
  }                                                                                      \
  template void name(const float*, float*, Index);                                       \
  template void name(const double*, double*, Index);
TAPEGRAD_MAP(exp, TAPEGRAD_ISA::exp(v))
TAPEGRAD_MAP(log, TAPEGRAD_ISA::log(v))
TAPEGRAD_MAP(tanh, TAPEGRAD_ISA::tanh(v))
TAPEGRAD_MAP(sigmoid, TAPEGRAD_ISA::sigmoid(v))
TAPEGRAD_MAP(relu, (vmax(Vector<T>{}, v)))
TAPEGRAD_MAP(gelu, (v * normal(v).cdf))
#undef TAPEGRAD_MAP

template <class T>
void relu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  for_each_vector<T>(
      n, [&](auto mask, Index i) __attribute__((always_inline)) {
        const Vector<T> gated = mask.load(x + i) > 0 ? mask.load(dy + i) : Vector<T>{};
        mask.store(dx + i, load_sum(accumulate, mask, dx + i) + gated);
      });
}

template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  map_backward<T>(
      x, dy, dx, n, accumulate, [](Vector<T> v) __attribute__((always_inline)) {
        const auto at = normal(v);
        return fma(v, at.pdf, at.cdf);
      });
}

namespace {

/// dx = f(x, dy) and its sum over rows, eight rows at a time, so that a vector of sums is seldom stored.
template <class T, class F>
TAPEGRAD_INLINE void gradient_rows(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias, F f) {
  for (Index first = 0; first < rows; first += 8) {
    const Index end = min_of<Index>(first + 8, rows) * n;
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          Vector<T> total = dbias ? mask.load(dbias + j) : Vector<T>{};
          for (Index at = first * n + j; at < end; at += n) {
            const Vector<T> d = f(mask.load(x + at), mask.load(dy + at));
            mask.store(dx + at, d);
            total += d;
          }
          if (dbias) mask.store(dbias + j, total);
        });
  }
}

}  // namespace

template <class T>
void relu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias) {
  gradient_rows<T>(
      x, dy, dx, rows, n, dbias,
      [](Vector<T> v, Vector<T> d) __attribute__((always_inline)) { return v > 0 ? d : Vector<T>{}; });
}

template <class T>
void gelu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias) {
  gradient_rows<T>(
      x, dy, dx, rows, n, dbias, [](Vector<T> v, Vector<T> d) __attribute__((always_inline)) {
        const auto at = normal(v);
        return d * fma(v, at.pdf, at.cdf);
      });
}

namespace {

// (1 + tanh(u)) / 2 = sigmoid(2u), with 2u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
template <class T>
constexpr T kLinear = static_cast<T>(1.5957691216057307117597842397375);
template <class T>
constexpr T kCubic = static_cast<T>(0.044715 * 1.5957691216057307117597842397375);

template <class T>
TAPEGRAD_INLINE Vector<T> gate(Vector<T> v, Vector<T> square) {
  return TAPEGRAD_ISA::sigmoid(v * fma(square, splat(kCubic<T>), splat(kLinear<T>)));
}

}  // namespace

template <class T>
void gelu_tanh(const T* x, T* y, Index n) {
  map<T>(
      x, y, n, [](Vector<T> v) __attribute__((always_inline)) { return v * gate<T>(v, v * v); });
}

template <class T>
void gelu_tanh_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  map_backward<T>(
      x, dy, dx, n, accumulate, [](Vector<T> v) __attribute__((always_inline)) {
        const Vector<T> square = v * v;
        const Vector<T> g = gate<T>(v, square);
        const Vector<T> slope = fma(square, splat(3 * kCubic<T>), splat(kLinear<T>));
        return fma(v * slope, g * (1 - g), g);
      });
}

template <class T>
void add_into(T* dst, const T* src, Index n) {
  for_each_vector<T>(
      n, [&](auto mask, Index i) __attribute__((always_inline)) {
        mask.store(dst + i, mask.load(dst + i) + mask.load(src + i));
      });
}

template <class T>
void add(const T* a, const T* b, T* y, Index n) {
  for_each_vector<T>(
      n, [&](auto mask, Index i)
             __attribute__((always_inline)) { mask.store(y + i, mask.load(a + i) + mask.load(b + i)); });
}

template <class T>
void scale(const T* x, T factor, T* y, Index n) {
  map<T>(
      x, y, n, [=](Vector<T> v) __attribute__((always_inline)) { return v * factor; });
}

template <class T>
T sum(const T* x, Index n) {
  return row_sum(x, n);
}

template <class T>
T sum_squares(const T* x, Index n) {
  return row_dot(x, x, n);
}

namespace {

/// `wide` vectors of columns side by side, the last of them with `left` columns in all.
template <class T, int wide>
void sum_columns(const T* src, Index rows, Index left, Index ld, T* dst, bool accumulate) {
  const Mask<T> last(left - (wide - 1) * kWidth<T>);
  Vector<T> total[wide];
  TAPEGRAD_UNROLL
  for (int v = 0; v < wide; ++v) {
    const T* from = dst + v * kWidth<T>;
    total[v] = !accumulate ? Vector<T>{} : v < wide - 1 ? load(from) : last.load(from);
  }
  for (Index row = 0; row < rows; ++row, src += ld) {
    TAPEGRAD_UNROLL
    for (int v = 0; v < wide - 1; ++v) total[v] += load(src + v * kWidth<T>);
    total[wide - 1] += last.load(src + (wide - 1) * kWidth<T>);
  }
  TAPEGRAD_UNROLL
  for (int v = 0; v < wide - 1; ++v) store(dst + v * kWidth<T>, total[v]);
  last.store(dst + (wide - 1) * kWidth<T>, total[wide - 1]);
}

}  // namespace

/// A sum is one chain of additions; many columns at once hide its latency.
template <class T>
void sum_rows(const T* src, Index rows, Index n, Index ld, T* dst, bool accumulate) {
  while (n > 0) {
    const Index wide = min_of<Index>(8, (n + kWidth<T> - 1) / kWidth<T>),
                columns = min_of(n, wide * kWidth<T>);
    switch (wide) {
      case 8:
        sum_columns<T, 8>(src, rows, columns, ld, dst, accumulate);
        break;
      case 7:
        sum_columns<T, 7>(src, rows, columns, ld, dst, accumulate);
        break;
      case 6:
        sum_columns<T, 6>(src, rows, columns, ld, dst, accumulate);
        break;
      case 5:
        sum_columns<T, 5>(src, rows, columns, ld, dst, accumulate);
        break;
      case 4:
        sum_columns<T, 4>(src, rows, columns, ld, dst, accumulate);
        break;
      case 3:
        sum_columns<T, 3>(src, rows, columns, ld, dst, accumulate);
        break;
      case 2:
        sum_columns<T, 2>(src, rows, columns, ld, dst, accumulate);
        break;
      default:
        sum_columns<T, 1>(src, rows, columns, ld, dst, accumulate);
    }
    src += columns;
    dst += columns;
    n -= columns;
  }
}

template <class T>
void transpose(const T* src, Index rows, Index cols, Index ld_src, T* dst, Index ld_dst) {
  constexpr int width = kWidth<T>;
  for (Index i = 0; i < rows; i += width) {
    const Mask<T> row_mask(rows - i);
    for (Index j = 0; j < cols; j += width) {
      const Mask<T> col_mask(cols - j);
      Vector<T> block[width];
      TAPEGRAD_UNROLL
      for (int r = 0; r < width; ++r)
        block[r] = i + r < rows ? col_mask.load(src + (i + r) * ld_src + j) : Vector<T>{};
      transpose_block<T>(block);
      TAPEGRAD_UNROLL
      for (int c = 0; c < width; ++c)
        if (j + c < cols) row_mask.store(dst + (j + c) * ld_dst + i, block[c]);
    }
  }
}

TAPEGRAD_INSTANTIATE(relu_backward)
TAPEGRAD_INSTANTIATE(relu_gradient)
TAPEGRAD_INSTANTIATE(gelu_backward)
TAPEGRAD_INSTANTIATE(gelu_gradient)
TAPEGRAD_INSTANTIATE(gelu_tanh)
TAPEGRAD_INSTANTIATE(gelu_tanh_backward)
TAPEGRAD_INSTANTIATE(add_into)
TAPEGRAD_INSTANTIATE(add)
TAPEGRAD_INSTANTIATE(scale)
TAPEGRAD_INSTANTIATE(sum)
TAPEGRAD_INSTANTIATE(sum_squares)
TAPEGRAD_INSTANTIATE(sum_rows)
TAPEGRAD_INSTANTIATE(transpose)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
