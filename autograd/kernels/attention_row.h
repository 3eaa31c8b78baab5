/// Internal: what happens to one row of attention scores.
#pragma once

#include <tapegrad/autograd/kernels/attention.h>
#include <tapegrad/autograd/kernels/dropout_row.h>
#include <tapegrad/autograd/kernels/rows.h>
#include <tapegrad/autograd/kernels/vector_math.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Query q of head h of batch b.
struct Place {
  Index b, h, q;
  TAPEGRAD_INLINE Index in(const ScoreStrides& s) const { return b * s.batch + h * s.head + q * s.query; }
  TAPEGRAD_INLINE Index in(const HeadStrides& s) const { return b * s.batch + h * s.head + q * s.row; }
  /// In a contiguous [batch, heads, query].
  template <class T>
  TAPEGRAD_INLINE Index row(const AttentionArgs<T>& args) const {
    return (b * args.heads + h) * args.query_len + q;
  }
};

/// Keys that causal and key_lengths leave to query q: those before this number.
template <class T>
TAPEGRAD_INLINE Index allowed_keys(const AttentionArgs<T>& args, Index b, Index q) {
  Index n = args.key_len;
  if (args.key_lengths) n = min_of<Index>(n, args.key_lengths[b]);
  if (args.causal) n = min_of<Index>(n, q + args.causal_offset + 1);
  return max_of<Index>(n, 0);
}

/// Products to masked scores: s = s * scale + bias, -inf where `keep` forbids. n allowed keys.
template <class T>
TAPEGRAD_INLINE void finish_scores(const AttentionArgs<T>& args, Place at, T* s, Index n) {
  const T scale = args.scale;
  for (Index j = 0; j < n; ++j) s[j] *= scale;
  if (args.bias) {
    const T* bias = args.bias + at.in(args.bias_strides);
    const Index step = args.bias_strides.key;
    if (step == 1)
      for (Index j = 0; j < n; ++j) s[j] += bias[j];
    else
      for (Index j = 0; j < n; ++j) s[j] += bias[j * step];
  }
  if (args.keep) {
    const std::uint8_t* keep = args.keep + at.in(args.keep_strides);
    const Index step = args.keep_strides.key;
    if (step == 1)
      for (Index j = 0; j < n; ++j) s[j] = keep[j] ? s[j] : -kInfinity<T>;
    else
      for (Index j = 0; j < n; ++j) s[j] = keep[j * step] ? s[j] : -kInfinity<T>;
  }
}

template <class T>
TAPEGRAD_INLINE void zero(T* p, Index begin, Index end) {
  for (Index j = begin; j < end; ++j) p[j] = 0;
}

/// How a row was normalised: weight = exp(score - max) * inverse_sum.
template <class T>
struct RowScale {
  T max, inverse_sum;
};

/// Masked scores to weights, in place.
template <class T>
TAPEGRAD_INLINE RowScale<T> softmax_row(T* s, Index n) {
  const T max = row_max(s, n);
  if (max == -kInfinity<T> && row_sum(s, n) <= 0) {  // not so when there are NaNs
    zero(s, 0, n);
    return {max, T{0}};
  }
  Lanes<T> sum(0);
  for_row<T>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> e = mask.select(exp(mask.load(s + j) - max), T{0});
        mask.store(s + j, e);
        sum.part[part] += e;
      });
  const T inverse = 1 / sum.sum();
  for_each_vector<T>(
      n, [&](auto mask, Index j)
             __attribute__((always_inline)) { mask.store(s + j, mask.load(s + j) * inverse); });
  return {max, inverse};
}

/// The same weights again, from a saved scale.
template <class T>
TAPEGRAD_INLINE void repeat_softmax_row(T* s, Index n, RowScale<T> scale) {
  if (scale.inverse_sum == 0) return zero(s, 0, n);
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        mask.store(s + j, exp(mask.load(s + j) - scale.max) * scale.inverse_sum);
      });
}

/// to = dropped-out from, n elements of the row at `row` in [batch, heads, query].
template <class T>
TAPEGRAD_INLINE void drop_row(const AttentionArgs<T>& args, const Dropout<T>& dropout, Index row,
                              const T* from, T* to, Index n) {
  dropout.for_each(
      n,
      static_cast<std::uint64_t>(row * args.key_len), [=](Index j, T factor) __attribute__((always_inline)) {
        const T kept = from[j] * factor;
        to[j] = factor == 0 ? T{0} : kept;
      });
}

/// Cotangents of the weights to cotangents of the scores, in place: d = w * (d - sum(w * d)).
template <class T>
TAPEGRAD_INLINE void softmax_row_backward(const T* w, T* d, Index n) {
  const T dot = row_dot(w, d, n);
  for_each_vector<T>(
      n, [&](auto mask, Index j) __attribute__((always_inline)) {
        mask.store(d + j, mask.load(w + j) * (mask.load(d + j) - dot));
      });
}

/// Queries worked on at once: few enough that their scores stay in cache and a causal bound saves work.
template <class T>
TAPEGRAD_INLINE Index query_block(const AttentionArgs<T>& args) {
  const Index most = args.causal ? 28 : 56;
  const Index fitting = Index{32768} / max_of<Index>(args.key_len, 1);
  const Index size = min_of(most, max_of<Index>(fitting, 14));
  const Index blocks = (args.query_len + size - 1) / size;
  return blocks == 0 ? 1 : (args.query_len + blocks - 1) / blocks;
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
