#include "attention.h"
#include "../gemm/packed_gemm.h"
#include "../workspace.h"
#include "lanes.h"
#include "taps.h"
#include "tiles_backward.h"
#include "tiles_forward.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {
namespace {

template <class T>
T* scratch(Scratch which, Index count) {
  return static_cast<T*>(workspace(which, static_cast<std::size_t>(count) * sizeof(T)));
}

/// The products of one head in the backward pass row by row.
template <class T>
struct Head {
  const AttentionArgs<T>& args;
  Index keys;    // that any query of this batch may see
  Index block;   // queries at once
  Index ld;      // of scratch [block, keys]
  bool several;  // blocks
  Index b = 0, h = 0;
  const T* key = nullptr;
  const T* value = nullptr;
  T* packed_key = nullptr;    // key^T [head_dim, keys]
  T* packed_value = nullptr;  // value^T [value_dim, keys]
  T* plain_key = nullptr;     // key [keys, head_dim], where several blocks of queries read it

  Head(const AttentionArgs<T>& a, Index batch)
      : args(a),
        keys(allowed_keys(a, batch, a.query_len - 1)),
        block(query_block(a)),
        ld(round_up(keys, kLanes) + kLanes),  // a stride that is no power of two
        several(a.query_len > block),
        b(batch) {}

  void enter(Index head) {
    h = head;
    key = args.key + Place{b, h, 0}.in(args.key_strides);
    value = args.value + Place{b, h, 0}.in(args.value_strides);
    const Index key_size = round_up(packed_size<T>(args.head_dim, keys), kLanes);
    packed_key = scratch<T>(Scratch::keys, key_size + packed_size<T>(keys, args.head_dim));
    pack_b(true, args.head_dim, keys, key, args.key_strides.row, packed_key);
    if (several) {
      plain_key = packed_key + key_size;
      pack_b(false, keys, args.head_dim, key, args.key_strides.row, plain_key);
    }
    packed_value = scratch<T>(Scratch::values, packed_size<T>(args.value_dim, keys));
    pack_b(true, args.value_dim, keys, value, args.value_strides.row, packed_value);
  }

  /// s [rows, n] = query key^T, and some columns more: whole vectors.
  void products(Index q, Index rows, Index n, T* s) const {
    const T* query = args.query + Place{b, h, q}.in(args.query_strides);
    gemm_packed(false, rows, round_up(n, kWidth<T>), args.head_dim, query, args.query_strides.row, packed_key,
                args.head_dim, keys, s, ld, false);
  }
};

}  // namespace

template <class T>
void attention_forward(const AttentionArgs<T>& args) {
  const bool lanes = fits_lanes(args);
  if (lanes)
    attention_forward_lanes(args);
  else
    attention_forward_tiles(args);  // which write the weights
  if (!args.scores && !(lanes && args.weights)) return;
  AttentionArgs<T> tapped = args;
  if (!lanes) tapped.weights = nullptr;
  AttentionTaps<T>(tapped).values();
}

namespace {

/// Zeros the gradients of the keys and values that the first block of queries does not see, when gradients
/// are written and not added to.
template <class T>
void zero_unseen_keys(const Head<T>& head, const AttentionGradients<T>& grads) {
  const AttentionArgs<T>& args = head.args;
  const Index rows = min_of(head.block, args.query_len);
  const Index seen = rows > 0 ? min_of(head.keys, allowed_keys(args, head.b, rows - 1)) : 0;
  if (grads.dkey && !grads.add_to_key)
    zero_rows(grads.dkey, grads.dkey_strides, {head.b, head.h, seen}, args.key_len, args.head_dim);
  if (grads.dvalue && !grads.add_to_value)
    zero_rows(grads.dvalue, grads.dvalue_strides, {head.b, head.h, grads.dout ? seen : 0}, args.key_len,
              args.value_dim);
}

/// One block of queries in the backward pass; w, d and dropped are scratch [rows, ld]. `dot` is sum(out *
/// dout) of every query, or null where weights have cotangents of their own.
template <class T>
void backward_block(const Head<T>& head, const AttentionGradients<T>& grads, const Dropout<T>& dropout,
                    const T* dot, Index q, Index rows, T* w, T* d, T* dropped) {
  const AttentionArgs<T>& args = head.args;
  const Index b = head.b, h = head.h, ld = head.ld;
  const Index n = min_of(head.keys, allowed_keys(args, b, q + rows - 1));
  const T* dout = grads.dout ? grads.dout + Place{b, h, q}.in(grads.dout_strides) : nullptr;
  head.products(q, rows, n, w);
  if (dout)  // d = dout value^T, the cotangents of the dropped weights
    gemm_packed(false, rows, round_up(n, kWidth<T>), args.value_dim, dout, grads.dout_strides.row,
                head.packed_value, args.value_dim, head.keys, d, ld, false);
  for (Index i = 0; i < rows; ++i) {
    const Place at{b, h, q + i};
    const Index row = at.row(args);
    const Index allowed = allowed_keys(args, b, q + i);
    T* wi = w + i * ld;
    T* di = d + i * ld;
    const Scores<T> scores = scores_of(args, at, wi, allowed);
    repeat_softmax_row(scores, wi, allowed, {args.row_max[row], args.row_inverse_sum[row]});
    zero_blocks(wi, allowed, n);
    if (!dout) zero_blocks(di, 0, allowed);
    if (args.dropout > 0) {
      zero_blocks(dropped + i * ld, allowed / kLanes * kLanes, n);
      drop_row(args, dropout, row, wi, dropped + i * ld, allowed);
      if (dout) drop_row(args, dropout, row, di, di, allowed);
    }
    if (grads.dweights) {
      const T* dweights = grads.dweights + row * args.key_len;
      for_each_vector<T>(
          allowed, [&](auto mask, Index j) __attribute__((always_inline)) {
            mask.store(di + j, mask.load(di + j) + mask.load(dweights + j));
          });
    }
    if (args.row_inverse_sum[row] == 0)
      zero_blocks(di, 0, n);
    else
      softmax_row_backward(wi, di, allowed, dot ? dot[q + i] : row_dot(wi, di, allowed));
    zero_blocks(di, allowed, n);
    if (grads.dbias) add_bias_gradient(grads, at, di, allowed);
    for (Index j = 0; j < allowed; j += kWidth<T>) store(di + j, load(di + j) * args.scale);
  }
  if (dout && grads.dvalue)
    gemm<T>(true, false, n, args.value_dim, rows, args.dropout > 0 ? dropped : w, ld, dout,
            grads.dout_strides.row, grads.dvalue + Place{b, h, 0}.in(grads.dvalue_strides),
            grads.dvalue_strides.row, nullptr, grads.add_to_value || q > 0);
  if (grads.dquery) {
    T* dquery = grads.dquery + Place{b, h, q}.in(grads.dquery_strides);
    if (head.several)
      gemm_packed(false, rows, args.head_dim, n, d, ld, head.plain_key, head.keys, args.head_dim, dquery,
                  grads.dquery_strides.row, grads.add_to_query);
    else
      gemm<T>(false, false, rows, args.head_dim, n, d, ld, head.key, args.key_strides.row, dquery,
              grads.dquery_strides.row, nullptr, grads.add_to_query);
  }
  if (grads.dkey)
    gemm<T>(true, false, n, args.head_dim, rows, d, ld, args.query + Place{b, h, q}.in(args.query_strides),
            args.query_strides.row, grads.dkey + Place{b, h, 0}.in(grads.dkey_strides),
            grads.dkey_strides.row, nullptr, grads.add_to_key || q > 0);
}

/// Row by row: where cotangents of whole rows are needed.
template <class T>
void attention_backward_rows(const AttentionArgs<T>& args, const AttentionGradients<T>& grads) {
  const Dropout<T> dropout(args.dropout, args.dropout_key);
  for (Index b = 0; b < args.batch; ++b) {
    Head<T> head(args, b);
    const Index size = head.block * head.ld;
    for (Index h = 0; h < args.heads; ++h) {
      head.enter(h);
      zero_unseen_keys(head, grads);
      const Index dots = grads.dout && !grads.dweights ? round_up(args.query_len, kLanes) : 0;
      T* w = scratch<T>(Scratch::scores,
                        dots + max_of((args.dropout > 0 ? 3 : 2) * size, 2 * kLanes * args.value_dim));
      T* dot = dots > 0 ? w : nullptr;
      w += dots;
      if (dot)
        dot_rows<T>({args.out, args.out_strides, {b, h, 0}, args.value_dim},
                    {grads.dout, grads.dout_strides, {b, h, 0}, args.value_dim}, 0, args.query_len, w, dot);
      for (Index q = 0; q < args.query_len; q += head.block)
        backward_block(head, grads, dropout, dot, q, min_of(head.block, args.query_len - q), w, w + size,
                       w + 2 * size);
    }
  }
}

/// Null when every cotangent is zero, so that an unused result does not change which path runs.
template <class T>
const T* arrived(const AttentionArgs<T>& args, const T* cotangents) {
  const Index size = cotangents ? args.batch * args.heads * args.query_len * args.key_len : 0;
  for (Index i = 0; i < size; ++i)
    if (cotangents[i] != 0) return cotangents;
  return nullptr;
}

}  // namespace

template <class T>
void attention_backward(const AttentionArgs<T>& args, const AttentionGradients<T>& given) {
  AttentionGradients<T> grads = given;
  grads.dweights = arrived(args, given.dweights);
  grads.dscores = arrived(args, given.dscores);
  if (fits_lanes(args) && grads.dout && !grads.dweights && !grads.dbias &&
      grads.dout_strides.head == args.value_dim && args.out_strides.head == args.value_dim)
    attention_backward_lanes(args, grads);
  else if (fits_tiles(grads))
    attention_backward_tiles(args, grads);
  else
    attention_backward_rows(args, grads);
  if (grads.dscores || grads.weights_gradient || grads.scores_gradient)
    AttentionTaps<T>(args).gradients(grads);
}

TAPEGRAD_INSTANTIATE(attention_forward)
TAPEGRAD_INSTANTIATE(attention_backward)

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
