#include <tapegrad/autograd/kernels/dropout_row.h>
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

/// 1 / sqrt(variance + eps) of a row with this mean.
template <class T>
TAPEGRAD_INLINE T inverse_deviation(const T* x, T mean, T eps, Index n) {
  Lanes<T> squares(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> d = mask.select(mask.load(x + j) - mean, T{0});
        squares.part[part] = fma(d, d, squares.part[part]);
      });
  return inverse_root(squares.sum() / static_cast<T>(n) + eps);
}

template <class T>
void layer_norm(const T* x, const T* gamma, const T* beta, T eps, T* y, T* mean, T* rstd, Index rows,
                Index n) {
  for (Index row = 0; row < rows; ++row, x += n, y += n) {
    const T centre = row_sum(x, n) / static_cast<T>(n);
    const T inverse = inverse_deviation(x, centre, eps, n);
    normalise(x, centre, inverse, gamma, beta, y, n);
    if (mean) mean[row] = centre;
    if (rstd) rstd[row] = inverse;
  }
}

/// Stores x + f, or x + dropout(f), and returns its sum; the row's first element is number `first`.
template <class T, bool drops>
TAPEGRAD_INLINE T add_row(const T* x, const T* f, const Dropout<T>& dropout, std::uint64_t first, T* sum,
                          Index n) {
  Lanes<T> total(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        Vector<T> added = mask.load(f + j);
        if constexpr (drops) added = dropped(added, dropout.at(first + static_cast<std::uint64_t>(j)));
        const Vector<T> v = mask.load(x + j) + added;
        mask.store(sum + j, v);
        total.part[part] += v;
      });
  return total.sum();
}

template <class T>
void add_layer_norm(const AddLayerNormArgs<T>& args) {
  const Index n = args.n;
  const Dropout<T> dropout(args.p, args.key);
  for (Index row = 0, at = 0; row < args.rows; ++row, at += n) {
    T* sum = args.sum + at;
    const auto first = static_cast<std::uint64_t>(at);
    const T total = args.p > 0 ? add_row<T, true>(args.x + at, args.f + at, dropout, first, sum, n)
                               : add_row<T, false>(args.x + at, args.f + at, dropout, first, sum, n);
    const T centre = total / static_cast<T>(n);
    const T inverse = inverse_deviation(sum, centre, args.eps, n);
    normalise(sum, centre, inverse, args.gamma, args.beta, args.y + at, n);
    args.mean[row] = centre;
    args.rstd[row] = inverse;
  }
}

/// One row: adds to dgamma and dbeta and, where `wanted`, calls store(mask, j, v), rstd * v being what x
/// gets; for layer norm (`centred`) and rms norm.
template <class T, bool centred, class Store>
TAPEGRAD_INLINE void backward_row(const T* x, const T* gamma, T mean, T rstd, const T* dy, T* dgamma,
                                  T* dbeta, Index n, bool wanted, Store store) {
  const auto xhat_at = [=](auto mask, Index j) __attribute__((always_inline)) {
    const Vector<T> v = mask.load(x + j);
    return (centred ? v - mean : v) * rstd;
  };
  Lanes<T> plain(0), weighted(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> d = mask.load(dy + j), xhat = xhat_at(mask, j);
        if (dgamma) mask.store(dgamma + j, fma(d, xhat, mask.load(dgamma + j)));
        if (dbeta) mask.store(dbeta + j, mask.load(dbeta + j) + d);
        const Vector<T> g = d * load_or(mask, gamma, j, T{1});
        plain.part[part] += g;
        weighted.part[part] = fma(g, mask.select(xhat, T{0}), weighted.part[part]);
      });
  if (!wanted) return;
  const T count = static_cast<T>(n);
  const T mean_g = centred ? plain.sum() / count : T{0};
  const T mean_gx = weighted.sum() / count;
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        const Vector<T> g = mask.load(dy + j) * load_or(mask, gamma, j, T{1});
        store(mask, j, fma(xhat_at(mask, j), splat(-mean_gx), centred ? g - mean_g : g));
      });
}

template <class T, bool centred>
TAPEGRAD_INLINE void backward_row(const T* x, const T* gamma, T mean, T rstd, const T* dy, T* dx, T* dgamma,
                                  T* dbeta, Index n, bool accumulate) {
  backward_row<T, centred>(
      x, gamma, mean, rstd, dy, dgamma, dbeta, n,
      dx != nullptr, [=](auto mask, Index j, Vector<T> v) __attribute__((always_inline)) {
        mask.store(dx + j, fma(v, splat(rstd), load_sum(accumulate, mask, dx + j)));
      });
}

template <class T>
void add_layer_norm_backward(const AddLayerNormArgs<T>& args, const AddLayerNormGradients<T>& grads) {
  const Index n = args.n;
  const Dropout<T> dropout(args.p, args.key);
  for (Index row = 0, at = 0; row < args.rows; ++row, at += n) {
    T *dx = grads.dx ? grads.dx + at : nullptr, *df = grads.df ? grads.df + at : nullptr;
    const T* dsum = grads.dsum ? grads.dsum + at : nullptr;
    const auto spread = [=](auto mask, Index j, Vector<T> d) __attribute__((always_inline)) {
      if (dx) mask.store(dx + j, load_sum(!grads.fresh_dx, mask, dx + j) + d);
      if (!df) return;
      if (args.p > 0) d = dropped(d, dropout.at(static_cast<std::uint64_t>(at + j)));
      mask.store(df + j, load_sum(!grads.fresh_df, mask, df + j) + d);
    };
    if (grads.dy) {
      const T rstd = args.rstd[row];
      backward_row<T, true>(
          args.sum + at, args.gamma, args.mean[row], rstd, grads.dy + at, grads.dgamma, grads.dbeta, n,
          dx || df, [=](auto mask, Index j, Vector<T> v) __attribute__((always_inline)) {
            spread(mask, j, fma(v, splat(rstd), dsum ? mask.load(dsum + j) : Vector<T>{}));
          });
    } else if (dsum) {
      for_each_vector<T>(
          n, [&](auto mask, Index j)
                 __attribute__((always_inline)) { spread(mask, j, mask.load(dsum + j)); });
    }
  }
}

template <class T>
void layer_norm_backward(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy, T* dx,
                         T* dgamma, T* dbeta, Index rows, Index n, bool accumulate) {
  for (Index row = 0; row < rows; ++row)
    backward_row<T, true>(x + row * n, gamma, mean[row], rstd[row], dy + row * n, dx ? dx + row * n : nullptr,
                          dgamma, dbeta, n, accumulate);
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
                       Index n, bool accumulate) {
  for (Index row = 0; row < rows; ++row)
    backward_row<T, false>(x + row * n, gamma, T{0}, rstd[row], dy + row * n, dx ? dx + row * n : nullptr,
                           dgamma, nullptr, n, accumulate);
}

}  // namespace

template <class T>
void fill_norm(Table<T>& table) {
  table.layer_norm = &layer_norm<T>;
  table.layer_norm_backward = &layer_norm_backward<T>;
  table.add_layer_norm = &add_layer_norm<T>;
  table.add_layer_norm_backward = &add_layer_norm_backward<T>;
  table.rms_norm = &rms_norm<T>;
  table.rms_norm_backward = &rms_norm_backward<T>;
}
template void fill_norm(Table<float>&);
template void fill_norm(Table<double>&);

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
