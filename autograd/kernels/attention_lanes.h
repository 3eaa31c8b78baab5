/// Internal: attention of short sequences, with a query in every lane. Scores stand as [key, query], so that
/// softmax runs down columns, 16 queries at once, and what a row would add up across lanes is added vector by
/// vector; sums keep the order of the rows' 16 lanes, so every number has the bits of the path row by row.
#pragma once

#include <tapegrad/autograd/kernels/attention_row.h>
#include <tapegrad/autograd/kernels/gemm_pack.h>
#include <tapegrad/autograd/kernels/packed_gemm.h>
#include <tapegrad/autograd/kernels/workspace.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

constexpr Index kLaneKeys = 64;  // at most

/// Whether what is asked for can be had this way.
template <class T>
TAPEGRAD_INLINE bool fits_lanes(const AttentionArgs<T>& args) {
  const Index elements = args.batch * args.heads * args.query_len * args.key_len;
  return args.query_len >= 4 && args.query_len <= kLaneKeys && args.key_len <= kLaneKeys && !args.keep &&
         !args.bias && !args.weights && args.query_strides.head == args.head_dim && elements < Index{1} << 32;
}

/// to[p * 16 + i] = src[i * ld + p] for i < rows and p < width. What stands in the lanes behind is finite
/// where src is.
template <class T>
void rows_to_lanes(const T* src, Index ld, Index rows, Index width, T* to) {
  Index p = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    for (; p + kLanes <= width; p += kLanes) {
      VF columns[16];
      load_transposed(
          [=](int i) __attribute__((always_inline)) { return src + min_of<Index>(i, rows - 1) * ld + p; },
          columns);
      TAPEGRAD_UNROLL
      for (int i = 0; i < kLanes; ++i) store(to + (p + i) * kLanes, columns[i]);
    }
  }
#endif
  if (p < width) pack_transposed(src + p, ld, rows, width - p, to + p * kLanes, Index{kLanes}, Index{kLanes});
}

/// What kWidth<T> neighbouring queries have in common, the first being `first`.
template <class T>
struct QueryLanes {
  IntVector<T> allowed;  // keys
  Index row;             // of the first in [batch, heads, query]
  Mask<T> live;

  TAPEGRAD_INLINE QueryLanes(const AttentionArgs<T>& args, Place first, Index queries)
      : row(first.row(args)), live(queries) {
    using Lane = std::remove_reference_t<decltype(allowed[0])>;
    for (int i = 0; i < kWidth<T>; ++i)
      allowed[i] = static_cast<Lane>(allowed_keys(args, first.b, first.q + i));
  }
  TAPEGRAD_INLINE Vector<T> select(Index key, Vector<T> v, T other) const {
    using Lane = std::remove_reference_t<decltype(allowed[0])>;
    return allowed > static_cast<Lane>(key) ? v : splat<T>(other);
  }
  /// 0 for dropped weights of `key`, else 1 / (1 - p).
  TAPEGRAD_INLINE Vector<T> kept(const AttentionArgs<T>& args, const Dropout<T>& dropout, Index key) const {
    return dropout.spread(static_cast<std::uint32_t>(row * args.key_len + key),
                          static_cast<std::uint32_t>(args.key_len));
  }
};

/// The sum of the 16 lanes of a row, one vector for each lane, by the tree of `Lanes`.
template <class T>
TAPEGRAD_INLINE Vector<T> tree_sum(Vector<T> (&lane)[kLanes]) {
  TAPEGRAD_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

/// Products s [n, 16] to dropped-out weights, in place, for one vector of queries.
template <class T>
TAPEGRAD_INLINE void softmax_lanes(const AttentionArgs<T>& args, const Dropout<T>& dropout,
                                   const QueryLanes<T>& lanes, Index n, T* s) {
  Vector<T> max = splat(-kInfinity<T>);
  IntVector<T> nan{};
  for (Index j = 0; j < n; ++j) {
    const Vector<T> v = lanes.select(j, load(s + j * kLanes) * args.scale, -kInfinity<T>);
    store(s + j * kLanes, v);
    nan |= v != v;
    max = vmax(max, v);
  }
  const IntVector<T> nothing = (max == -kInfinity<T>)&~nan;
  Vector<T> sum[kLanes];
  for (Index j = n; j < kLanes; ++j) sum[j] = Vector<T>{};
  for (Index j = 0; j < n; ++j) {
    const Vector<T> e = lanes.select(j, exp(load(s + j * kLanes) - max), T{0});
    store(s + j * kLanes, e);
    sum[j % kLanes] = j < kLanes ? e : sum[j % kLanes] + e;
  }
  const Vector<T> inverse = nothing ? Vector<T>{} : 1 / tree_sum<T>(sum);
  for (Index j = 0; j < n; ++j) {
    Vector<T> w = nothing ? Vector<T>{} : load(s + j * kLanes) * inverse;
    if (args.dropout > 0) w = dropped(w, lanes.kept(args, dropout, j));
    store(s + j * kLanes, w);
  }
  if (args.row_max) lanes.live.store(args.row_max + lanes.row, max);
  if (args.row_inverse_sum) lanes.live.store(args.row_inverse_sum + lanes.row, inverse);
}

template <class T>
void attention_forward_lanes(const AttentionArgs<T>& args) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  const Index width = args.heads * args.head_dim;
  const auto bytes = [](Index rows) { return static_cast<std::size_t>(rows * kLanes) * sizeof(T); };
  T* queries = static_cast<T*>(workspace(Scratch::keys, bytes(width)));
  T* s = static_cast<T*>(workspace(Scratch::scores, bytes(kLaneKeys)));
  for (Index b = 0; b < args.batch; ++b)
    for (Index q = 0; q < args.query_len; q += kLanes) {
      const Index rows = min_of<Index>(kLanes, args.query_len - q);
      const Index n = allowed_keys(args, b, q + rows - 1);
      const Place first{b, 0, q};
      rows_to_lanes(args.query + first.in(args.query_strides), args.query_strides.row, rows, width, queries);
      for (Index h = 0; h < args.heads; ++h) {
        const Place keys{b, h, 0}, at{b, h, q};
        gemm<T>(false, false, n, kLanes, args.head_dim, args.key + keys.in(args.key_strides),
                args.key_strides.row, queries + h * args.head_dim * kLanes, kLanes, s, kLanes, nullptr,
                false);
        for (Index i = 0; i < rows; i += kWidth<T>)
          softmax_lanes(args, dropout, QueryLanes<T>(args, {b, h, q + i}, rows - i), n, s + i);
        gemm<T>(true, false, rows, args.value_dim, n, s, kLanes, args.value + keys.in(args.value_strides),
                args.value_strides.row, args.out + at.in(args.out_strides), args.out_strides.row, nullptr,
                false);
      }
    }
}

/// Products w and cotangents d of the dropped-out weights, both [n, 16], to weights, to `used` as they were
/// multiplied with the values, and to cotangents of the products, for one vector of queries.
template <class T>
TAPEGRAD_INLINE void softmax_lanes_backward(const AttentionArgs<T>& args, const Dropout<T>& dropout,
                                            const QueryLanes<T>& lanes, Index n, T* w, T* d, T* used) {
  const Vector<T> max = lanes.live.load(args.row_max + lanes.row),
                  inverse = lanes.live.load(args.row_inverse_sum + lanes.row);
  const IntVector<T> some = inverse != 0;
  Vector<T> sum[kLanes];
  for (Index j = n; j < kLanes; ++j) sum[j] = Vector<T>{};
  for (Index j = 0; j < n; ++j) {
    const Index at = j * kLanes;
    const Vector<T> e = exp(load(w + at) * args.scale - max) * inverse;
    const Vector<T> weight = lanes.select(j, some ? e : Vector<T>{}, T{0});
    Vector<T> cotangent = lanes.select(j, load(d + at), T{0});
    store(w + at, weight);
    if (args.dropout > 0) {
      const Vector<T> factor = lanes.kept(args, dropout, j);
      cotangent = dropped(cotangent, factor);
      store(used + at, dropped(weight, factor));
    }
    store(d + at, cotangent);
    sum[j % kLanes] = fma(weight, cotangent, j < kLanes ? Vector<T>{} : sum[j % kLanes]);
  }
  const Vector<T> dot = tree_sum<T>(sum);
  for (Index j = 0; j < n; ++j) {
    const Index at = j * kLanes;
    const Vector<T> v = load(w + at) * (load(d + at) - dot);
    store(d + at, lanes.select(j, some ? v : Vector<T>{}, T{0}) * args.scale);
  }
}

template <class T>
void attention_backward_lanes(const AttentionArgs<T>& args, const AttentionGradients<T>& grads) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  const Index width = args.heads * args.head_dim, out_width = args.heads * args.value_dim;
  const auto bytes = [](Index rows) { return static_cast<std::size_t>(rows * kLanes) * sizeof(T); };
  T* queries = static_cast<T*>(workspace(Scratch::keys, bytes(width)));
  T* douts = static_cast<T*>(workspace(Scratch::values, bytes(out_width)));
  T* w = static_cast<T*>(workspace(Scratch::scores, bytes(3 * kLaneKeys)));
  T* d = w + kLaneKeys * kLanes;
  T* used = args.dropout > 0 ? d + kLaneKeys * kLanes : w;
  for (Index b = 0; b < args.batch; ++b)
    for (Index q = 0; q < args.query_len; q += kLanes) {
      const Index rows = min_of<Index>(kLanes, args.query_len - q);
      const Index n = allowed_keys(args, b, q + rows - 1);
      const Place first{b, 0, q};
      rows_to_lanes(args.query + first.in(args.query_strides), args.query_strides.row, rows, width, queries);
      rows_to_lanes(grads.dout + first.in(grads.dout_strides), grads.dout_strides.row, rows, out_width,
                    douts);
      for (Index h = 0; h < args.heads; ++h) {
        const Place keys{b, h, 0}, at{b, h, q};
        const T *key = args.key + keys.in(args.key_strides),
                *value = args.value + keys.in(args.value_strides);
        gemm<T>(false, false, n, kLanes, args.head_dim, key, args.key_strides.row,
                queries + h * args.head_dim * kLanes, kLanes, w, kLanes, nullptr, false);
        gemm<T>(false, false, n, kLanes, args.value_dim, value, args.value_strides.row,
                douts + h * args.value_dim * kLanes, kLanes, d, kLanes, nullptr, false);
        for (Index i = 0; i < rows; i += kWidth<T>)
          softmax_lanes_backward(args, dropout, QueryLanes<T>(args, {b, h, q + i}, rows - i), n, w + i, d + i,
                                 used + i);
        const bool later = q > 0;
        if (grads.dvalue) {
          if (!grads.add_to_value && !later)
            zero_rows(grads.dvalue, grads.dvalue_strides, {b, h, n}, args.key_len, args.value_dim);
          gemm<T>(false, false, n, args.value_dim, rows, used, kLanes, grads.dout + at.in(grads.dout_strides),
                  grads.dout_strides.row, grads.dvalue + keys.in(grads.dvalue_strides),
                  grads.dvalue_strides.row, nullptr, grads.add_to_value || later);
        }
        if (grads.dquery)
          gemm<T>(true, false, rows, args.head_dim, n, d, kLanes, key, args.key_strides.row,
                  grads.dquery + at.in(grads.dquery_strides), grads.dquery_strides.row, nullptr,
                  grads.add_to_query);
        if (grads.dkey) {
          if (!grads.add_to_key && !later)
            zero_rows(grads.dkey, grads.dkey_strides, {b, h, n}, args.key_len, args.head_dim);
          gemm<T>(false, false, n, args.head_dim, rows, d, kLanes, args.query + at.in(args.query_strides),
                  args.query_strides.row, grads.dkey + keys.in(grads.dkey_strides), grads.dkey_strides.row,
                  nullptr, grads.add_to_key || later);
        }
      }
    }
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
