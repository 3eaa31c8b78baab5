/// Internal: what happens to one row of attention scores.
#pragma once

#include "../dropout_row.h"
#include "../simd/rows.h"
#include "../simd/vector_math.h"
#include "attention.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

/// Query q of head h of batch b.
struct Place {
  Index b, h, q;
  TAPEGRAD_INLINE Index in(const ScoreStrides& s) const { return b * s.batch + h * s.head + q * s.query; }
  TAPEGRAD_INLINE Index in(const HeadStrides& s) const { return b * s.batch + h * s.head + q * s.row; }
  /// The index of this row in a contiguous [batch, heads, query].
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

// Rows of scratch have room for whole blocks of 16 elements; see PaddedTail.

/// Products to scores while they are loaded: s * scale + bias.
template <class T>
struct Scores {
  T scale;
  const T* bias;  // or null

  template <class M>
  TAPEGRAD_INLINE Vector<T> load(const M& mask, const T* s, Index j) const {
    const Vector<T> scaled = mask.load(s + j) * scale;
    return bias ? scaled + load_exact(mask, bias + j) : scaled;
  }
};

/// The score transform of n keys of a row from key `first` on. What vectors cannot do as they load, a bias
/// with gaps and `keep`, is done at once, and nothing is left to do.
template <class T>
TAPEGRAD_INLINE Scores<T> scores_of(const AttentionArgs<T>& args, Place at, T* s, Index n, Index first = 0) {
  const Index bias_step = args.bias_strides.key, keep_step = args.keep_strides.key;
  const T* bias = args.bias ? args.bias + at.in(args.bias_strides) + first * bias_step : nullptr;
  if (!args.keep && (!bias || bias_step == 1)) return {args.scale, bias};
  for (Index j = 0; j < n; ++j) s[j] *= args.scale;
  if (bias)
    for (Index j = 0; j < n; ++j) s[j] += bias[j * bias_step];
  if (args.keep) {
    const std::uint8_t* keep = args.keep + at.in(args.keep_strides) + first * keep_step;
    if (keep_step == 1)
      for (Index j = 0; j < n; ++j) s[j] = keep[j] ? s[j] : -kInfinity<T>;
    else
      for (Index j = 0; j < n; ++j) s[j] = keep[j * keep_step] ? s[j] : -kInfinity<T>;
  }
  return {T{1}, nullptr};
}

/// Zeros from the block of 16 after `begin` to the end of that of `end`.
template <class T>
TAPEGRAD_INLINE void zero_blocks(T* p, Index begin, Index end) {
  for (Index j = round_up(begin, kLanes); j < end; j += kWidth<T>) store(p + j, Vector<T>{});
}

/// The normalisation of a row: weight = exp(score - max) * inverse_sum.
template <class T>
struct RowScale {
  T max, inverse_sum;
};

/// Products to weights, in place; zeros behind them to the end of the block of 16.
template <class T>
TAPEGRAD_INLINE RowScale<T> softmax_row(Scores<T> scores, T* s, Index n) {
  constexpr int chains = 4;  // a maximum knows no order
  Lanes<T> highest[chains] = {Lanes<T>(-kInfinity<T>), Lanes<T>(-kInfinity<T>), Lanes<T>(-kInfinity<T>),
                              Lanes<T>(-kInfinity<T>)};
  Index begin = 0;
  for (; begin + chains * kLanes <= n; begin += chains * kLanes) {
    TAPEGRAD_UNROLL
    for (int part = 0; part < chains * kParts<T>; ++part) {
      Vector<T>& to = highest[part / kParts<T>].part[part % kParts<T>];
      to = vmax(to, scores.load(Full<T>{}, s, begin + part * kWidth<T>));
    }
  }
  for_row<T, PaddedTail>(
      n - begin, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> v = scores.load(mask, s, begin + j);
        highest[0].part[part] = vmax(highest[0].part[part], mask.select(v, -kInfinity<T>));
      });
  TAPEGRAD_UNROLL
  for (int part = 0; part < kParts<T>; ++part)
    highest[0].part[part] = vmax(vmax(highest[0].part[part], highest[1].part[part]),
                                 vmax(highest[2].part[part], highest[3].part[part]));
  const T max = highest[0].max();
  if (max == -kInfinity<T>) {
    Lanes<T> sum(0);
    for_row<T, PaddedTail>(
        n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
          sum.part[part] += mask.select(scores.load(mask, s, j), T{0});
        });
    if (sum.sum() <= 0) {  // not so when there are NaNs
      zero_blocks(s, 0, round_up(n, kLanes));
      return {max, T{0}};
    }
  }
  Lanes<T> sum(0);
  for_row<T, PaddedTail>(
      n, [&](auto mask, int part, Index j) __attribute__((always_inline)) {
        const Vector<T> e = mask.select(exp(scores.load(mask, s, j) - max), T{0});
        store(s + j, e);
        sum.part[part] += e;
      });
  const T inverse = 1 / sum.sum();
  for (Index j = 0; j < n; j += kWidth<T>) store(s + j, load(s + j) * inverse);
  return {max, inverse};
}

/// Computes the weights of a row again from a saved scale, with zeros behind them to the end of the block
/// of 16.
template <class T>
TAPEGRAD_INLINE void repeat_softmax_row(Scores<T> scores, T* s, Index n, RowScale<T> scale) {
  if (scale.inverse_sum == 0) return zero_blocks(s, 0, round_up(n, kLanes));
  for_row<T, PaddedTail>(
      n, [&](auto mask, int, Index j) __attribute__((always_inline)) {
        mask.store(s + j, exp(scores.load(mask, s, j) - scale.max) * scale.inverse_sum);
      });
}

/// to = dropped-out from, n elements of the row at `row` in [batch, heads, query].
template <class T>
TAPEGRAD_INLINE void drop_row(const AttentionArgs<T>& args, const Dropout<T>& dropout, Index row,
                              const T* from, T* to, Index n) {
  const auto first = static_cast<std::uint64_t>(row * args.key_len);
  dropout.for_each(
      n, first, [=](auto mask, Index j, Vector<T> factor) __attribute__((always_inline)) {
        mask.store(to + j, dropped(mask.load(from + j), factor));
      });
}

/// d = w * (d - dot), the cotangents of the weights to those of the scores.
template <class T>
TAPEGRAD_INLINE void softmax_row_backward(const T* w, T* d, Index n, T dot) {
  for_row<T, PaddedTail>(
      n, [&](auto mask, int, Index j) __attribute__((always_inline)) {
        mask.store(d + j, mask.load(w + j) * (mask.load(d + j) - dot));
      });
}

/// dbias += d of n keys of a row.
template <class T>
void add_bias_gradient(const AttentionGradients<T>& grads, Place at, const T* d, Index n) {
  T* to = grads.dbias + at.in(grads.dbias_strides);
  const Index step = grads.dbias_strides.key;
  if (step == 1)
    for_each_vector<T>(
        n, [&](auto mask, Index j)
               __attribute__((always_inline)) { mask.store(to + j, mask.load(to + j) + mask.load(d + j)); });
  else
    for (Index j = 0; j < n; ++j) to[j * step] += d[j];
}

/// sum[i] of out * dout, value by value, for kLanes rows in lanes, [value_dim, 16] both.
template <class T>
TAPEGRAD_INLINE void dot_lanes(const T* out, const T* dout, Index value_dim, T* sum) {
  Lanes<T> lanes(0);
  for (Index p = 0; p < value_dim; ++p) {
    TAPEGRAD_UNROLL
    for (int part = 0; part < kParts<T>; ++part) {
      const Index at = p * kLanes + part * kWidth<T>;
      lanes.part[part] = fma(load(out + at), load(dout + at), lanes.part[part]);
    }
  }
  TAPEGRAD_UNROLL
  for (int part = 0; part < kParts<T>; ++part) store(sum + part * kWidth<T>, lanes.part[part]);
}

/// Zeros in the rows from `at` on of one head of a gradient.
template <class T>
void zero_rows(T* gradient, const HeadStrides& strides, Place at, Index rows, Index width) {
  T* to = gradient + at.in(strides);
  for (Index row = at.q; row < rows; ++row, to += strides.row)
    for (Index j = 0; j < width; ++j) to[j] = 0;
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
