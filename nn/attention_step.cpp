#include "attention.h"

#include <algorithm>
#include <cmath>

#include "../autograd/kernels/attention/attention.h"
#include "../autograd/ops/linear.h"
#include "../autograd/ops/transpose.h"

namespace tapegrad::nn {
namespace {

/// Attention of one query a row, the first `heads · dim` elements of each row of the input, over a cache. It
/// is never recorded: there is nothing to walk back to in a cache.
struct CachedAttention final : Primitive {
  TensorView keys, values;
  const Index *slots, *lengths;
  Index heads;

  const char* name() const override { return "cached_attention"; }
  Formula formula() const override { return "c = softmax(s q k') v"; }
  bool differentiable() const override { return false; }
  VarList pullback(const PullbackArgs&) const override { return VarList(1); }

  Shape shape(Views in, int) const override { return in[0].shape.with_tail(1, {keys.shape[1]}); }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::AttentionStepArgs<T> args;
      args.rows = in[0].shape[0];
      args.heads = heads;
      args.head_dim = keys.shape[1] / heads;
      args.query = in[0].data<T>();
      args.query_stride = in[0].shape[2];
      args.keys = keys.data<T>();
      args.values = values.data<T>();
      args.key_capacity = keys.shape[2];
      args.slot_keys = keys.shape[1] * keys.shape[2];
      args.slot_values = values.shape[1] * values.shape[2];
      args.slots = slots;
      args.lengths = lengths;
      args.scale = static_cast<T>(1 / std::sqrt(static_cast<double>(args.head_dim)));
      args.out = out[0].data<T>();
      kernels::attention_step(args);
    });
  }
};

/// The key and value of every row of `projected` [rows, 1, 3 d_model], behind its query, go to its last place
/// in the cache.
void append(const Tensor& projected, const KVCache& past, const CacheRows& rows) {
  const TensorView from = projected.view(), keys = past.keys.view(), values = past.values.view();
  const Index width = keys.shape[1], capacity = keys.shape[2];
  dispatch(from.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t row = 0; row < rows.slots.size(); ++row) {
      const T* key = from.data<T>() + static_cast<Index>(row) * 3 * width + width;
      const Index slot = rows.slots[row] * width * capacity, place = rows.lengths[row] - 1;
      for (Index i = 0; i < width; ++i) keys.data<T>()[slot + i * capacity + place] = key[i];
      std::copy_n(key + width, width, values.data<T>() + slot + place * width);
    }
  });
}

}  // namespace

Var MultiHeadAttention::attend_cache(const Var& query, const KVCache& cache, const CacheRows& rows,
                                     TransposedWeights& weights) const {
  CachedAttention op;
  op.keys = cache.keys.view();
  op.values = cache.values.view();
  op.slots = rows.slots.data();
  op.lengths = rows.lengths.data();
  op.heads = heads;
  return weights.linear(apply(op, {query}), out_proj);
}

void MultiHeadAttention::check_steps(const Tape& tape) const {
  expects(!tape.options().record && !tape.training(),
          "MultiHeadAttention: steps need a tape with .record = false and .training = false, got {} and {}",
          tape.options().record, tape.training());
  if (!in_proj_weight)
    throw Error(fmt::format(
        "MultiHeadAttention: steps need kdim = vdim = d_model, got kdim = {}, vdim = {} and d_model = {}",
        k_proj_weight.shape()[1], v_proj_weight.shape()[1], q_proj_weight.shape()[1]));
  constexpr const char* names[] = {"scaled_dot", "dot", "cosine", "negative_distance"};
  expects(options.score == Score::scaled_dot,
          "MultiHeadAttention: steps need Score::scaled_dot, got Score::{}",
          names[static_cast<int>(options.score)]);
}

KVCache MultiHeadAttention::precompute_cross_kv(const Var& memory) const {
  Tape& tape = memory.tape();
  check_steps(tape);
  const Index d = out_proj.weight.shape()[0];
  const Parameter &w = in_proj_weight, &b = in_proj_bias;
  const Var keys = linear(memory, rows(w, d, d), rows(b, d, d));            // [rows, time, d_model]
  const Var values = linear(memory, rows(w, 2 * d, d), rows(b, 2 * d, d));  // [rows, time, d_model]
  return {transpose(keys, 1, 2).value(), values.value()};
}

Var MultiHeadAttention::step(const Var& x, KVCache& past, const CacheRows& rows,
                             TransposedWeights& weights) const {
  check_steps(x.tape());
  const Index d = out_proj.weight.shape()[0];
  const Var projected = weights.linear(x, in_proj_weight, in_proj_bias, 0, 3 * d);  // [rows, 1, 3 d_model]
  append(projected.value(), past, rows);
  return attend_cache(projected, past, rows, weights);
}

Var MultiHeadAttention::cross_attend_step(const Var& x, const KVCache& memory, const CacheRows& rows,
                                          TransposedWeights& weights) const {
  check_steps(x.tape());
  const Index d = out_proj.weight.shape()[0];
  const Var query = weights.linear(x, in_proj_weight, in_proj_bias, 0, d);  // [rows, 1, d_model]
  return attend_cache(query, memory, rows, weights);
}

}  // namespace tapegrad::nn
