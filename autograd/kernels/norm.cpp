#include "norm.h"
#include "dropout_row.h"
#include "simd/row_groups.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

/// Loads p[j...], or `otherwise` when p is null.
template <class T, class M>
TAPEGRAD_INLINE Vector<T> load_or(const M& mask, const T* p, Index j, T otherwise) {
  return p ? mask.load(p + j) : splat(otherwise);
}

/// A number of rows, as a type.
template <int rows>
struct RowCount {
  static constexpr int value = rows;
};

/// Calls body(first, RowCount) for neighbouring rows: groups of kRowGroup, then one by one.
template <class T, class Body>
TAPEGRAD_INLINE void for_groups(Index rows, Body body) {
  Index row = 0;
  for (; row + kRowGroup<T> <= rows; row += kRowGroup<T>) body(row, RowCount<kRowGroup<T>>{});
  for (; row < rows; ++row) body(row, RowCount<1>{});
}

/// y = (x - mean) * rstd * gamma + beta, row by row.
template <class T, int rows>
TAPEGRAD_INLINE void normalise(const T* x, const RowValues<T, rows>& mean, const RowValues<T, rows>& rstd,
                               const T* gamma, const T* beta, T* y, Index n) {
  Vector<T> centre[rows], factor[rows];
  TAPEGRAD_UNROLL
  for (int r = 0; r < rows; ++r) {
    centre[r] = mean[r];
    factor[r] = rstd[r];
  }
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        const Vector<T> gain = load_or(mask, gamma, j, T{1}), shift = load_or(mask, beta, j, T{0});
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r)
          mask.store(y + r * n + j, fma((mask.load(x + r * n + j) - centre[r]) * factor[r], gain, shift));
      });
}

/// 1 / sqrt(variance + eps) of rows with these means.
template <class T, int rows>
TAPEGRAD_INLINE RowValues<T, rows> inverse_deviation(const T* x, const RowValues<T, rows>& mean, T eps,
                                                     Index n) {
  RowLanes<T, rows> squares;
  Vector<T> centre[rows];
  TAPEGRAD_UNROLL
  for (int r = 0; r < rows; ++r) centre[r] = mean[r];
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r) {
          const Vector<T> d = mask.select(mask.load(x + r * n + j) - centre[r], T{0});
          squares.row[r].part[part] = fma(d, d, squares.row[r].part[part]);
        }
      });
  return squares.sum().map([=](auto v) __attribute__((always_inline)) {
    return inverse_root(v / static_cast<T>(n) + eps);
  });
}

/// Normalises rows at `x` whose sums are known; for layer_norm and add_layer_norm.
template <class T, int rows>
TAPEGRAD_INLINE void norm_rows(const T* x, const RowValues<T, rows>& total, const T* gamma, const T* beta,
                               T eps, T* y, T* mean, T* rstd, Index n) {
  const RowValues<T, rows> centre =
      total.map([=](auto v) __attribute__((always_inline)) { return v / static_cast<T>(n); });
  const RowValues<T, rows> inverse = inverse_deviation(x, centre, eps, n);
  normalise(x, centre, inverse, gamma, beta, y, n);
  if (mean) centre.store(mean);
  if (rstd) inverse.store(rstd);
}

}  // namespace

template <class T>
void layer_norm(const T* x, const T* gamma, const T* beta, T eps, T* y, T* mean, T* rstd, Index rows,
                Index n) {
  for_groups<T>(
      rows, [&](Index row, auto group) __attribute__((always_inline)) {
        constexpr int count = decltype(group)::value;
        const T* from = x + row * n;
        RowLanes<T, count> total;
        for_row<T>(
            n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
              TAPEGRAD_UNROLL
              for (int r = 0; r < count; ++r) total.row[r].part[part] += mask.load(from + r * n + j);
            });
        norm_rows(from, total.sum(), gamma, beta, eps, y + row * n, mean ? mean + row : nullptr,
                  rstd ? rstd + row : nullptr, n);
      });
}

namespace {

/// Stores x + f, or x + dropout(f), for rows from element `at` on, and returns their sums.
template <class T, int rows, bool drops>
TAPEGRAD_INLINE RowValues<T, rows> add_rows(const AddLayerNormArgs<T>& args, const Dropout<T>& dropout,
                                            Index at) {
  const Index n = args.n;
  RowLanes<T, rows> total;
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r) {
          const Index i = at + r * n + j;
          Vector<T> added = mask.load(args.f + i);
          if constexpr (drops) added = dropped(added, dropout.at(static_cast<std::uint64_t>(i)));
          const Vector<T> v = mask.load(args.x + i) + added;
          mask.store(args.sum + i, v);
          total.row[r].part[part] += v;
        }
      });
  return total.sum();
}

template <class T, bool drops>
TAPEGRAD_INLINE void add_and_normalise(const AddLayerNormArgs<T>& args, const Dropout<T>& dropout) {
  for_groups<T>(
      args.rows, [&](Index row, auto group) __attribute__((always_inline)) {
        constexpr int count = decltype(group)::value;
        const Index at = row * args.n;
        const RowValues<T, count> total = add_rows<T, count, drops>(args, dropout, at);
        norm_rows<T, count>(args.sum + at, total, args.gamma, args.beta, args.eps, args.y + at,
                            args.mean + row, args.rstd + row, args.n);
      });
}

}  // namespace

template <class T>
void add_layer_norm(const AddLayerNormArgs<T>& args) {
  const Dropout<T> dropout(args.p, args.key);
  if (args.p > 0)
    add_and_normalise<T, true>(args, dropout);
  else
    add_and_normalise<T, false>(args, dropout);
}

namespace {

/// The backward pass of some rows, for layer norm (`centred`) and rms norm: adds to dgamma and dbeta and,
/// when `wanted`, calls store(mask, r, j, v), where rstd * v is the gradient of element j of row r of x.
template <class T, int rows, bool centred, class Store>
TAPEGRAD_INLINE void backward_rows(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy,
                                   T* dgamma, T* dbeta, Index n, bool wanted, Store store) {
  Vector<T> centre[rows], factor[rows];
  TAPEGRAD_UNROLL
  for (int r = 0; r < rows; ++r) {
    centre[r] = centred ? splat(mean[r]) : Vector<T>{};
    factor[r] = splat(rstd[r]);
  }
  const auto xhat_at = [&](auto mask, int r, Index j) __attribute__((always_inline)) {
    const Vector<T> v = mask.load(x + r * n + j);
    return (centred ? v - centre[r] : v) * factor[r];
  };
  RowLanes<T, rows> plain, weighted;
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> gain = load_or(mask, gamma, j, T{1});
        Vector<T> total = dgamma ? mask.load(dgamma + j) : Vector<T>{};
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r) {
          const Vector<T> d = mask.load(dy + r * n + j), xhat = xhat_at(mask, r, j);
          total = fma(d, xhat, total);
          const Vector<T> g = d * gain;
          plain.row[r].part[part] += g;
          weighted.row[r].part[part] = fma(g, mask.select(xhat, T{0}), weighted.row[r].part[part]);
        }
        if (dgamma) mask.store(dgamma + j, total);
        if (!dbeta) return;  // which may be dgamma
        total = mask.load(dbeta + j);
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r) total += mask.load(dy + r * n + j);
        mask.store(dbeta + j, total);
      });
  if (!wanted) return;
  const auto mean_of = [=](auto v) __attribute__((always_inline)) { return v / static_cast<T>(n); };
  const RowValues<T, rows> mean_g = plain.sum().map(mean_of), mean_gx = weighted.sum().map(mean_of);
  Vector<T> less[rows], slope[rows];
  TAPEGRAD_UNROLL
  for (int r = 0; r < rows; ++r) {
    less[r] = mean_g[r];
    slope[r] = -mean_gx[r];
  }
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        const Vector<T> gain = load_or(mask, gamma, j, T{1});
        TAPEGRAD_UNROLL
        for (int r = 0; r < rows; ++r) {
          const Vector<T> g = mask.load(dy + r * n + j) * gain;
          store(mask, r, j, fma(xhat_at(mask, r, j), slope[r], centred ? g - less[r] : g));
        }
      });
}

/// dx (+)= rstd * v for all rows.
template <class T, bool centred>
TAPEGRAD_INLINE void norm_backward(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy,
                                   T* dx, T* dgamma, T* dbeta, Index rows, Index n, bool accumulate) {
  for_groups<T>(
      rows, [&](Index row, auto group) __attribute__((always_inline)) {
        const Index at = row * n;
        backward_rows<T, decltype(group)::value, centred>(
            x + at, gamma, centred ? mean + row : nullptr, rstd + row, dy + at, dgamma, dbeta, n,
            dx != nullptr, [=](auto mask, int r, Index j, Vector<T> v) __attribute__((always_inline)) {
              T* to = dx + at + r * n + j;
              mask.store(to, fma(v, splat(rstd[row + r]), load_sum(accumulate, mask, to)));
            });
      });
}

/// The gradients of x and f from the cotangents of both results of add_layer_norm.
template <class T, bool drops>
TAPEGRAD_INLINE void add_and_normalise_backward(const AddLayerNormArgs<T>& args,
                                                const AddLayerNormGradients<T>& grads,
                                                const Dropout<T>& dropout) {
  const Index n = args.n;
  T *const dx = grads.dx, *const df = grads.df;
  const T* const dsum = grads.dsum;
  const auto spread = [&](auto mask, Index i, Vector<T> d) __attribute__((always_inline)) {
    if (dx) mask.store(dx + i, load_sum(!grads.uninitialized_dx, mask, dx + i) + d);
    if (!df) return;
    if constexpr (drops) d = dropped(d, dropout.at(static_cast<std::uint64_t>(i)));
    mask.store(df + i, load_sum(!grads.uninitialized_df, mask, df + i) + d);
  };
  if (!grads.dy) {
    for (Index at = 0; dsum && at < args.rows * n; at += n)
      for_each_vector<T>(
          n, [&](auto mask, Index j)
                 __attribute__((always_inline)) { spread(mask, at + j, mask.load(dsum + at + j)); });
    return;
  }
  for_groups<T>(
      args.rows, [&](Index row, auto group) __attribute__((always_inline)) {
        const Index at = row * n;
        const T* rstd = args.rstd + row;
        backward_rows<T, decltype(group)::value, true>(
            args.sum + at, args.gamma, args.mean + row, rstd, grads.dy + at, grads.dgamma, grads.dbeta, n,
            dx || df, [&](auto mask, int r, Index j, Vector<T> v) __attribute__((always_inline)) {
              const Index i = at + r * n + j;
              spread(mask, i, fma(v, splat(rstd[r]), dsum ? mask.load(dsum + i) : Vector<T>{}));
            });
      });
}

}  // namespace

template <class T>
void add_layer_norm_backward(const AddLayerNormArgs<T>& args, const AddLayerNormGradients<T>& grads) {
  const Dropout<T> dropout(args.p, args.key);
  if (args.p > 0)
    add_and_normalise_backward<T, true>(args, grads, dropout);
  else
    add_and_normalise_backward<T, false>(args, grads, dropout);
}

template <class T>
void layer_norm_backward(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy, T* dx,
                         T* dgamma, T* dbeta, Index rows, Index n, bool accumulate) {
  norm_backward<T, true>(x, gamma, mean, rstd, dy, dx, dgamma, dbeta, rows, n, accumulate);
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
  norm_backward<T, false>(x, gamma, nullptr, rstd, dy, dx, dgamma, nullptr, rows, n, accumulate);
}

TAPEGRAD_INSTANTIATE(layer_norm)
TAPEGRAD_INSTANTIATE(layer_norm_backward)
TAPEGRAD_INSTANTIATE(add_layer_norm)
TAPEGRAD_INSTANTIATE(add_layer_norm_backward)
TAPEGRAD_INSTANTIATE(rms_norm)
TAPEGRAD_INSTANTIATE(rms_norm_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
