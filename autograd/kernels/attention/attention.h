/// Scaled dot-product attention over many heads (Vaswani et al., 2017, arXiv 1706.03762), fused: no [query,
/// key] matrix outlives a block of queries unless it is asked for.
#pragma once

#include "../dropout.h"
#include "../kernel.h"

#include <cstdint>

namespace tapegrad::kernels {

/// Strides of an operand [batch, heads, time, dim]: batch b, head h, row t begins at data + b * batch + h *
/// head + t * row; the elements of one head are contiguous. Packed projections [batch, time, 3 * d_model]
/// need no transposition: {time * 3 * d_model, head_dim, 3 * d_model}.
struct HeadStrides {
  Index batch = 0;
  Index head = 0;
  Index row = 0;
};

/// Strides of an operand [batch, heads, query, key]; a stride of 0 broadcasts.
struct ScoreStrides {
  Index batch = 0;
  Index head = 0;
  Index query = 0;
  Index key = 0;
};

template <class T>
struct AttentionArgs {
  Index batch = 0;
  Index heads = 0;
  Index query_len = 0;
  Index key_len = 0;
  Index head_dim = 0;   ///< of queries and keys
  Index value_dim = 0;  ///< of values and outputs, per head

  const T* query = nullptr;
  const T* key = nullptr;
  const T* value = nullptr;
  T* out = nullptr;  ///< out in the forward, in for the backward
  HeadStrides query_strides, key_strides, value_strides, out_strides;

  T scale = 1;

  bool causal = false;                        ///< key j is allowed for query i when j <= i + causal_offset
  Index causal_offset = 0;                    ///< usually key_len - query_len, or 0
  const std::int64_t* key_lengths = nullptr;  ///< [batch]: key j is allowed when j < key_lengths[b]
  const std::uint8_t* keep = nullptr;         ///< non-zero = allowed
  ScoreStrides keep_strides;

  const T* bias = nullptr;  ///< added to the scaled scores, before the mask
  ScoreStrides bias_strides;

  double dropout =
      0;  ///< probability; element ((b * heads + h) * query_len + q) * key_len + k of `dropout_key` decides
  RandomKey dropout_key;

  T* weights =
      nullptr;  ///< out, [batch, heads, query, key] contiguous, or null: probabilities before dropout
  T* scores =
      nullptr;  ///< out or null, [batch, heads, query, key]: scale query key^T + bias, of masked keys too
  T* row_max =
      nullptr;  ///< out in the forward, in for the backward: [batch, heads, query], maximum allowed score
  T* row_inverse_sum = nullptr;  ///< as row_max: 1 / sum of exp(score - max); 0 for a fully masked row
};

template <class T>
struct AttentionGradients {
  const T* dout = nullptr;
  HeadStrides dout_strides;
  // [batch, heads, query, key], contiguous:
  const T* dweights = nullptr;    ///< cotangents of `weights`; all zeros are as good as null
  const T* dscores = nullptr;     ///< cotangents of `scores`; all zeros are as good as null
  T* weights_gradient = nullptr;  ///< out, or null: dropout(dout value^T) + dweights, which it may be
  T* scores_gradient = nullptr;   ///< out, or null: what passes through softmax, + dscores, which it may be

  T* dquery = nullptr;  ///< += ; each of these may be null
  T* dkey = nullptr;
  T* dvalue = nullptr;
  HeadStrides dquery_strides, dkey_strides, dvalue_strides;
  bool add_to_query = true, add_to_key = true, add_to_value = true;  ///< false: written, every element
  T* dbias = nullptr;  ///< += ; summed over broadcast (zero) strides, in ascending (b, h, q, k) order
  ScoreStrides dbias_strides;
};

/// out = dropout(softmax(mask(scale * query key^T + bias))) value for every batch and head.
///
/// A key takes part when causal, key_lengths and keep all allow it; a fully masked row gives zeros in out,
/// weights and gradients. Keys outside the causal or length bounds are not read, and padding a sentence
/// changes no bit of its results. `weights` and `scores`, when asked for, change no bit of `out`, and scores
/// are those of keys outside the bounds, too.
/// row_max and row_inverse_sum may both be null when no backward follows.
TAPEGRAD_KERNEL(void, attention_forward, (const AttentionArgs<T>& args), (args))

/// Adds the gradients of attention_forward, recomputing the weights with the same bits from row_max and
/// row_inverse_sum. dout null means zero (then dvalue gets nothing). Does not read `args.weights` or
/// `args.scores`. `weights_gradient` and `scores_gradient`, when asked for, change no bit of the others; like
/// `dscores`, they are of keys outside the bounds, too.
TAPEGRAD_KERNEL(void, attention_backward, (const AttentionArgs<T>& args, const AttentionGradients<T>& grads),
                (args, grads))

/// One query a row over keys and values that were kept from earlier steps. Row r reads place `slots[r]` of
/// the caches; element p of head h of its key j is keys[slot * slot_keys + (h * head_dim + p) *
/// key_capacity + j] (transposed, so that a vector holds neighbouring keys), and of its value j values[slot *
/// slot_values + j * heads * head_dim + h * head_dim + p].
template <class T>
struct AttentionStepArgs {
  Index rows = 0;
  Index heads = 0;
  Index head_dim = 0;
  const T* query = nullptr;  ///< [rows, heads * head_dim], rows `query_stride` apart
  Index query_stride = 0;
  const T* keys = nullptr;
  const T* values = nullptr;
  Index slot_keys = 0, slot_values = 0, key_capacity = 0;
  const std::int64_t* slots = nullptr;    ///< [rows]
  const std::int64_t* lengths = nullptr;  ///< [rows]: keys that a row sees; 0 gives zeros
  T scale = 1;
  T* out = nullptr;  ///< [rows, heads * head_dim]
};

/// out = softmax(scale * query key^T) value for every row and head; a row has the bits that attention_forward
/// gives it among others.
TAPEGRAD_KERNEL(void, attention_step, (const AttentionStepArgs<T>& args), (args))

}  // namespace tapegrad::kernels
