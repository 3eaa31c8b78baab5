/// Internal: attention of short sequences, with a query in every lane. Scores stand as [key, query], so that
/// softmax runs down columns, 16 queries at once, and what a row would add up across lanes is added vector by
/// vector; sums keep the order of the rows' 16 lanes, so every number has the bits of the path row by row.
#pragma once

#include "../gemm/alike_products.h"
#include "../gemm/gemm_pack.h"
#include "../workspace.h"
#include "row.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

constexpr Index kLaneKeys = 64;      // at most
constexpr Index kLaneScores = 2048;  // of heads that are worked on together

/// Returns true when the lanes path can compute this call.
template <class T>
TAPEGRAD_INLINE bool fits_lanes(const AttentionArgs<T>& args) {
  const Index elements = args.batch * args.heads * args.query_len * args.key_len;
  return args.query_len >= 4 && args.query_len <= kLaneKeys && args.key_len <= kLaneKeys && !args.keep &&
         !args.bias && (!args.weights || args.row_max) && args.value_dim > 0 &&
         args.query_strides.head == args.head_dim && elements < Index{1} << 32;
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

/// Up to 16 neighbouring queries of one batch, in every head.
template <class T>
struct QueryBlock {
  Index b, q, rows;  // from query q on
  Index n;           // keys that any of them sees
  bool ragged;       // some see fewer
  IntVector<T> allowed[kParts<T>];

  TAPEGRAD_INLINE QueryBlock(const AttentionArgs<T>& args, Index batch, Index first)
      : b(batch), q(first), rows(min_of<Index>(kLanes, args.query_len - first)) {
    using Lane = std::remove_reference_t<decltype(allowed[0][0])>;
    n = allowed_keys(args, b, q + rows - 1);
    ragged = allowed_keys(args, b, q) < n;
    for (int part = 0; part < kParts<T>; ++part)
      for (int i = 0; i < kWidth<T>; ++i)
        allowed[part][i] = static_cast<Lane>(ragged ? allowed_keys(args, b, q + part * kWidth<T> + i) : n);
  }
  /// Room for the scores of a head, and how many heads have theirs at hand.
  TAPEGRAD_INLINE Index scores() const { return max_of<Index>(round_up(n, kLanes), kLanes) * kLanes; }
  TAPEGRAD_INLINE Index heads() const { return kLaneScores / scores(); }
  /// Calls body(lanes) for every vector of queries that has any, in the form that fits.
  template <class Body>
  TAPEGRAD_INLINE void each(const AttentionArgs<T>& args, Index h, Body body) const;
};

/// Bounds that kWidth<T> neighbouring queries of one head share.
template <class T, bool ragged>
struct QueryLanes {
  IntVector<T> allowed;  // keys
  Index first;           // lane
  Index row;             // of the first query in [batch, heads, query]
  Mask<T> live;

  /// v in queries that see `key`, else `other`.
  TAPEGRAD_INLINE Vector<T> select(Index key, Vector<T> v, T other) const {
    using Lane = std::remove_reference_t<decltype(allowed[0])>;
    return !ragged ? v : allowed > static_cast<Lane>(key) ? v : splat<T>(other);
  }
  /// 0 for dropped weights of `key`, else 1 / (1 - p).
  TAPEGRAD_INLINE Vector<T> kept(const AttentionArgs<T>& args, const Dropout<T>& dropout, Index key) const {
    return dropout.spread(static_cast<std::uint32_t>(row * args.key_len + key),
                          static_cast<std::uint32_t>(args.key_len));
  }
};

template <class T>
template <class Body>
TAPEGRAD_INLINE void QueryBlock<T>::each(const AttentionArgs<T>& args, Index h, Body body) const {
  const Index row = Place{b, h, q}.row(args);
  for (int part = 0; part < kParts<T> && part * kWidth<T> < rows; ++part) {
    const Index lane = part * kWidth<T>;
    const Mask<T> live(rows - lane);
    if (ragged)
      body(QueryLanes<T, true>{allowed[part], lane, row + lane, live});
    else
      body(QueryLanes<T, false>{allowed[part], lane, row + lane, live});
  }
}

/// The sum over keys in the order of a row's 16 lanes and their tree; add(lane, j) joins key j to its lane.
/// Keys up to the next multiple of 16 are added, too.
template <class T, class Add>
TAPEGRAD_INLINE Vector<T> sum_keys(Index n, Add add) {
  Vector<T> lane[kLanes];
  TAPEGRAD_UNROLL
  for (int i = 0; i < kLanes; ++i) lane[i] = add(Vector<T>{}, i);
  for (Index j = kLanes; j < n; j += kLanes) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < kLanes; ++i) lane[i] = add(lane[i], j + i);
  }
  TAPEGRAD_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2) {
    TAPEGRAD_UNROLL
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

/// Zeros behind n keys of [keys, 16], up to the next multiple of 16.
template <class T>
TAPEGRAD_INLINE void zero_keys(T* s, Index n) {
  for (Index j = n; j < max_of<Index>(round_up(n, kLanes), kLanes); ++j) store(s + j * kLanes, Vector<T>{});
}

/// Products s [n, 16] to dropped-out weights, in place, for one vector of queries.
template <class T, bool ragged>
TAPEGRAD_INLINE void softmax_lanes(const AttentionArgs<T>& args, const Dropout<T>& dropout,
                                   const QueryLanes<T, ragged>& lanes, Index n, T* s) {
  Vector<T> max = splat(-kInfinity<T>);
  const T scale = args.scale;
  for (Index j = 0; j < n; ++j) {
    const Vector<T> v = lanes.select(j, load(s + j * kLanes) * scale, -kInfinity<T>);
    store(s + j * kLanes, v);
    max = vmax(max, v);
  }
  IntVector<T> some = max != -kInfinity<T>;
  for (Index j = 0; j < n && !all_of<T>(some); ++j) some |= load(s + j * kLanes) != load(s + j * kLanes);
  for (Index j = 0; j < n; ++j) store(s + j * kLanes, lanes.select(j, exp(load(s + j * kLanes) - max), T{0}));
  zero_keys(s, n);
  const Vector<T> total = sum_keys<T>(
      n, [=](Vector<T> lane, Index j) __attribute__((always_inline)) { return lane + load(s + j * kLanes); });
  const Vector<T> inverse = some ? 1 / total : Vector<T>{};
  const bool drops = args.dropout > 0;
  for (Index j = 0; j < n; ++j) {
    Vector<T> w = some ? load(s + j * kLanes) * inverse : Vector<T>{};
    if (drops) w = dropped(w, lanes.kept(args, dropout, j));
    store(s + j * kLanes, w);
  }
  if (args.row_max) lanes.live.store(args.row_max + lanes.row, max);
  if (args.row_inverse_sum) lanes.live.store(args.row_inverse_sum + lanes.row, inverse);
}

/// The products of a block of queries, forward.
template <class T>
struct ForwardPlan {
  Index keys = -1;
  AlikeProducts<T> scores, context;

  void fit(const AttentionArgs<T>& args, Index n, Index rows) {
    if (n == keys) return;
    keys = n;
    scores = {false, n, kLanes, args.head_dim, args.key_strides.row, kLanes, kLanes, false};
    context = {true, rows, args.value_dim, n, kLanes, args.value_strides.row, args.out_strides.row, false};
  }
};

template <class T>
void attention_forward_lanes(const AttentionArgs<T>& args) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  const Index width = args.heads * args.head_dim;
  const auto bytes = [](Index rows) { return static_cast<std::size_t>(rows * kLanes) * sizeof(T); };
  T* queries = static_cast<T*>(workspace(Scratch::keys, bytes(width)));
  T* s = static_cast<T*>(workspace(Scratch::scores, kLaneScores * sizeof(T)));
  ForwardPlan<T> plans[kLaneKeys / kLanes];
  for (Index b = 0; b < args.batch; ++b)
    for (Index q = 0; q < args.query_len; q += kLanes) {
      const QueryBlock<T> block(args, b, q);
      ForwardPlan<T>& plan = plans[q / kLanes];
      plan.fit(args, block.n, block.rows);
      rows_to_lanes(args.query + Place{b, 0, q}.in(args.query_strides), args.query_strides.row, block.rows,
                    width, queries);
      // Step by step for some heads: one head alone would wait for every result.
      for (Index begin = 0, end; begin < args.heads; begin = end) {
        end = min_of(begin + block.heads(), args.heads);
        const auto each_head = [&](auto body) __attribute__((always_inline)) {
          T* at = s;
          for (Index h = begin; h < end; ++h, at += block.scores()) body(h, at);
        };
        each_head([&](Index h, T * at) __attribute__((always_inline)) {
          plan.scores(args.key + Place{b, h, 0}.in(args.key_strides), queries + h * args.head_dim * kLanes,
                      at);
        });
        each_head([&](Index h, T * at) __attribute__((always_inline)) {
          block.each(
              args, h, [&](const auto& lanes) __attribute__((always_inline)) {
                softmax_lanes(args, dropout, lanes, block.n, at + lanes.first);
              });
        });
        each_head([&](Index h, T * at) __attribute__((always_inline)) {
          plan.context(at, args.value + Place{b, h, 0}.in(args.value_strides),
                       args.out + Place{b, h, q}.in(args.out_strides));
        });
      }
    }
}

/// Products w and cotangents d of the dropped-out weights, both [n, 16], to weights as they were multiplied
/// with the values, and to cotangents of the products, for one vector of queries; `dot` is sum(out * dout) of
/// each.
template <class T, bool ragged>
TAPEGRAD_INLINE void softmax_lanes_backward(const AttentionArgs<T>& args, const Dropout<T>& dropout,
                                            const QueryLanes<T, ragged>& lanes, Vector<T> dot, Index n, T* w,
                                            T* d) {
  const Vector<T> max = lanes.live.load(args.row_max + lanes.row),
                  inverse = lanes.live.load(args.row_inverse_sum + lanes.row);
  const IntVector<T> some = inverse != 0;
  const T scale = args.scale;
  const bool drops = args.dropout > 0;
  for (Index j = 0; j < n; ++j) {
    const Index at = j * kLanes;
    const Vector<T> e = exp(load(w + at) * scale - max) * inverse;
    const Vector<T> weight = lanes.select(j, some ? e : Vector<T>{}, T{0});
    Vector<T> cotangent = load(d + at), dropped_weight = weight;
    if (drops) {
      const Vector<T> factor = lanes.kept(args, dropout, j);
      cotangent = dropped(cotangent, factor);
      dropped_weight = dropped(weight, factor);
    }
    store(w + at, dropped_weight);
    const Vector<T> v = weight * (cotangent - dot);
    store(d + at, lanes.select(j, some ? v : Vector<T>{}, T{0}) * scale);
  }
}

/// The products of a block of queries, backward.
template <class T>
struct BackwardPlan {
  Index keys = -1;
  AlikeProducts<T> scores, dweights, dvalue, dquery, dkey;

  void fit(const AttentionArgs<T>& args, const AttentionGradients<T>& grads, Index n, Index rows,
           bool later) {
    if (n == keys) return;
    keys = n;
    const Index key = args.key_strides.row, value = args.value_strides.row;
    scores = {false, n, kLanes, args.head_dim, key, kLanes, kLanes, false};
    dweights = {false, n, kLanes, args.value_dim, value, kLanes, kLanes, false};
    dvalue = {false,
              n,
              args.value_dim,
              rows,
              kLanes,
              grads.dout_strides.row,
              grads.dvalue_strides.row,
              grads.add_to_value || later};
    dquery = {true, rows, args.head_dim, n, kLanes, key, grads.dquery_strides.row, grads.add_to_query};
    dkey = {false,
            n,
            args.head_dim,
            rows,
            kLanes,
            args.query_strides.row,
            grads.dkey_strides.row,
            grads.add_to_key || later};
  }
};

template <class T>
void attention_backward_lanes(const AttentionArgs<T>& args, const AttentionGradients<T>& grads) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  const Index width = args.heads * args.head_dim, out_width = args.heads * args.value_dim;
  const auto bytes = [](Index rows) { return static_cast<std::size_t>(rows * kLanes) * sizeof(T); };
  T* queries = static_cast<T*>(workspace(Scratch::keys, bytes(width)));
  T* douts = static_cast<T*>(workspace(Scratch::values, bytes(2 * out_width)));
  T *outs = douts + out_width * kLanes,
    *dots = outs;  // a head's dots end before the part that later heads read
  T* w = static_cast<T*>(workspace(Scratch::scores, 2 * kLaneScores * sizeof(T)));
  T* d = w + kLaneScores;
  BackwardPlan<T> plans[kLaneKeys / kLanes];
  for (Index b = 0; b < args.batch; ++b)
    for (Index q = 0; q < args.query_len; q += kLanes) {
      const QueryBlock<T> block(args, b, q);
      BackwardPlan<T>& plan = plans[q / kLanes];
      plan.fit(args, grads, block.n, block.rows, q > 0);
      const Place first{b, 0, q};
      rows_to_lanes(args.query + first.in(args.query_strides), args.query_strides.row, block.rows, width,
                    queries);
      rows_to_lanes(grads.dout + first.in(grads.dout_strides), grads.dout_strides.row, block.rows, out_width,
                    douts);
      rows_to_lanes(args.out + first.in(args.out_strides), args.out_strides.row, block.rows, out_width, outs);
      for (Index begin = 0, end; begin < args.heads; begin = end) {
        end = min_of(begin + block.heads(), args.heads);
        const auto each_head = [&](auto body) __attribute__((always_inline)) {
          Index at = 0;
          for (Index h = begin; h < end; ++h, at += block.scores()) body(h, at);
        };
        each_head([&](Index h, Index at) __attribute__((always_inline)) {
          plan.scores(args.key + Place{b, h, 0}.in(args.key_strides), queries + h * args.head_dim * kLanes,
                      w + at);
          const Index values = h * args.value_dim * kLanes;
          plan.dweights(args.value + Place{b, h, 0}.in(args.value_strides), douts + values, d + at);
          dot_lanes(outs + values, douts + values, args.value_dim, dots + h * kLanes);
        });
        each_head([&](Index h, Index at) __attribute__((always_inline)) {
          block.each(
              args, h, [&](const auto& lanes) __attribute__((always_inline)) {
                const Index i = at + lanes.first;
                softmax_lanes_backward(args, dropout, lanes, load(dots + h * kLanes + lanes.first), block.n,
                                       w + i, d + i);
              });
        });
        each_head([&](Index h, Index at) __attribute__((always_inline)) {
          const Place keys{b, h, 0}, here{b, h, q}, unseen{b, h, block.n};
          if (grads.dvalue) {
            if (!grads.add_to_value && q == 0)
              zero_rows(grads.dvalue, grads.dvalue_strides, unseen, args.key_len, args.value_dim);
            plan.dvalue(w + at, grads.dout + here.in(grads.dout_strides),
                        grads.dvalue + keys.in(grads.dvalue_strides));
          }
          if (grads.dquery)
            plan.dquery(d + at, args.key + keys.in(args.key_strides),
                        grads.dquery + here.in(grads.dquery_strides));
          if (grads.dkey) {
            if (!grads.add_to_key && q == 0)
              zero_rows(grads.dkey, grads.dkey_strides, unseen, args.key_len, args.head_dim);
            plan.dkey(d + at, args.query + here.in(args.query_strides),
                      grads.dkey + keys.in(grads.dkey_strides));
          }
        });
      }
    }
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
