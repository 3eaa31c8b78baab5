#include <tapegrad/autograd/kernels/rows.h>
#include <tapegrad/autograd/kernels/variants.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

template <class T>
TAPEGRAD_INLINE T inverse_root(T x) {
  if constexpr (sizeof(T) == 4)
    return 1 / __builtin_sqrtf(x);
  else
    return 1 / __builtin_sqrt(x);
}

/// Loads p[j...], or `otherwise` when p is null.
template <class T, class M>
TAPEGRAD_INLINE Vector<T> load_or(const M& mask, const T* p, Index j, T otherwise) {
  return p ? mask.load(p + j) : splat(otherwise);
}

/// y = (x - mean) * rstd * gamma + beta.
template <class T>
TAPEGRAD_INLINE void normalise(const T* x, T mean, T rstd, const T* gamma, const T* beta, T* y, Index n) {
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        const Vector<T> xhat = (mask.load(x + j) - mean) * rstd;
        mask.store(y + j, fma(xhat, load_or(mask, gamma, j, T{1}), load_or(mask, beta, j, T{0})));
      });
}

template <class T>
void layer_norm(const T* x, const T* gamma, const T* beta, T eps, T* y, T* mean, T* rstd, Index rows,
                Index n) {
  const T count = static_cast<T>(n);
  for (Index row = 0; row < rows; ++row, x += n, y += n) {
    const T centre = row_sum(x, n) / count;
    Lanes<T> squares(0);
    for_row<T>(
        n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
          const Vector<T> d = mask.select(mask.load(x + j) - centre, T{0});
          squares.part[part] = fma(d, d, squares.part[part]);
        });
    const T inverse = inverse_root(squares.sum() / count + eps);
    normalise(x, centre, inverse, gamma, beta, y, n);
    if (mean) mean[row] = centre;
    if (rstd) rstd[row] = inverse;
  }
}

/// One row: dx, dgamma and dbeta, for layer norm (`centred`) and rms norm.
template <class T, bool centred>
TAPEGRAD_INLINE void backward_row(const T* x, const T* gamma, T mean, T rstd, const T* dy, T* dx, T* dgamma,
                                  T* dbeta, Index n) {
  const auto xhat_at = [=](auto mask, Index j) __attribute__((always_inline)) {
    const Vector<T> v = mask.load(x + j);
    return (centred ? v - mean : v) * rstd;
  };
  if (dgamma) {
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dgamma + j, fma(mask.load(dy + j), xhat_at(mask, j), mask.load(dgamma + j)));
        });
  }
  if (dbeta) {
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(dbeta + j, mask.load(dbeta + j) + mask.load(dy + j));
        });
  }
  if (!dx) return;
  Lanes<T> plain(0), weighted(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> g = mask.load(dy + j) * load_or(mask, gamma, j, T{1});
        plain.part[part] += g;
        weighted.part[part] = fma(g, mask.select(xhat_at(mask, j), T{0}), weighted.part[part]);
      });
  const T count = static_cast<T>(n);
  const T mean_g = centred ? plain.sum() / count : T{0};
  const T mean_gx = weighted.sum() / count;
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        const Vector<T> g = mask.load(dy + j) * load_or(mask, gamma, j, T{1});
        const Vector<T> inner = fma(xhat_at(mask, j), splat(-mean_gx), centred ? g - mean_g : g);
        mask.store(dx + j, fma(inner, splat(rstd), mask.load(dx + j)));
      });
}

template <class T>
void layer_norm_backward(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy, T* dx,
                         T* dgamma, T* dbeta, Index rows, Index n) {
  for (Index row = 0; row < rows; ++row)
    backward_row<T, true>(x + row * n, gamma, mean[row], rstd[row], dy + row * n, dx ? dx + row * n : nullptr,
                          dgamma, dbeta, n);
}

template <class T>
void rms_norm(const T* x, const T* gamma, T eps, T* y, T* rstd, Index rows, Index n) {
  for (Index row = 0; row < rows; ++row, x += n, y += n) {
    const T inverse = inverse_root(row_dot(x, x, n) / static_cast<T>(n) + eps);
    for_each_vector<T>(
        n, [&](auto mask, Index j) __attribute__((always_inline)) {
          mask.store(y + j, mask.load(x + j) * inverse * load_or(mask, gamma, j, T{1}));
        });
    if (rstd) rstd[row] = inverse;
  }
}

template <class T>
void rms_norm_backward(const T* x, const T* gamma, const T* rstd, const T* dy, T* dx, T* dgamma, Index rows,
                       Index n) {
  for (Index row = 0; row < rows; ++row)
    backward_row<T, false>(x + row * n, gamma, T{0}, rstd[row], dy + row * n, dx ? dx + row * n : nullptr,
                           dgamma, nullptr, n);
}

}  // namespace

template <class T>
void fill_norm(Table<T>& table) {
  table.layer_norm = &layer_norm<T>;
  table.layer_norm_backward = &layer_norm_backward<T>;
  table.rms_norm = &rms_norm<T>;
  table.rms_norm_backward = &rms_norm_backward<T>;
}
template void fill_norm(Table<float>&);
template void fill_norm(Table<double>&);

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
