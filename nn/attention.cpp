#include <tapegrad/nn/attention.h>

#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/linear.h>
#include <tapegrad/autograd/ops/matmul.h>
#include <tapegrad/autograd/ops/reduce.h>
#include <tapegrad/autograd/ops/reshape.h>
#include <tapegrad/autograd/ops/transpose.h>
#include <tapegrad/nn/init.h>

namespace tapegrad {
namespace {

/// [batch, time, heads · dim] -> [batch, heads, time, dim]
Var split_heads(const Var& x, Index heads) {
  if (heads == 0) return x;
  const Index batch = x.shape()[0], time = x.shape()[1];
  return transpose(reshape(x, {batch, time, heads, x.shape()[2] / heads}), 1, 2);
}

/// x / ‖x‖ over the last axis; a zero row stays zero.
Var unit_rows(const Var& x) {
  constexpr double tiny = 1e-8;  // as in PyTorch's cosine_similarity
  return x / maximum(norm(x, -1, true), x.tape().full({}, tiny));
}

/// −‖q − k‖ for every pair.   q [.., query, dim], k [.., key, dim] -> [.., query, key]
Var negative_distances(const Var& q, const Var& k) {
  return -norm(unsqueeze(q, -2) - unsqueeze(k, -3), -1);
}

}  // namespace

AttentionResult attention_by_score(const Var& query, const Var& key, const Var& value, const DotProductAttentionOptions& options) {
  AttentionOptions inner{.mask = options.mask, .bias = options.bias, .dropout = options.dropout, .heads = options.heads};
  if (options.score == Score::scaled_dot) return attention_with_weights(query, key, value, inner);
  inner.scale = 1;
  if (options.score == Score::dot) return attention_with_weights(query, key, value, inner);

  Var q = split_heads(query, options.heads), k = split_heads(key, options.heads);
  const Var v = split_heads(value, options.heads);
  inner.heads = 0;
  if (options.score == Score::cosine) {
    q = unit_rows(q);
    k = unit_rows(k);
  } else {
    const Var scores = negative_distances(q, k);  // [batch, heads, query, key]
    inner.bias = options.bias ? scores + options.bias : scores;
    q = affine(q, 0);  // the scores are all in the bias
  }
  AttentionResult result = attention_with_weights(q, k, v, inner);
  if (options.heads > 0) {
    const Shape& s = result.context.shape();  // [batch, heads, query, dim] -> [batch, query, heads · dim]
    const Index batch = s[0], time = s[2], width = s[1] * s[3];
    result.context = reshape(transpose(result.context, 1, 2), {batch, time, width});
  }
  return result;
}

MultiHeadAttention::MultiHeadAttention(const Scope& scope, Index d_model, Index head_count, const MultiHeadAttentionOptions& opts)
    : Layer(scope),
      in_proj_weight(scope.parameter("in_proj_weight", {3 * d_model, d_model}, xavier_uniform())),
      in_proj_bias(opts.bias ? scope.parameter("in_proj_bias", {3 * d_model}, zeros) : Parameter()),
      out_proj(scope / "out_proj", d_model, d_model, {.bias = opts.bias, .bias_init = zeros}),
      heads(head_count),
      options(opts) {
  expects(heads > 0 && d_model % heads == 0, "{}: {} heads do not divide d_model = {}; take a divisor of {}", scope.path(), heads,
          d_model, d_model);
}

Var MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value, const Mask& mask) const {
  Tape& tape = query.tape();
  if (options.score != Score::scaled_dot || tape.taps().wants(path(), "weights"))
    return forward(query, key, value, mask, WithWeights{}).context;
  const Index d = out_proj.weight.shape()[0];
  const Var w = tape[in_proj_weight], b = in_proj_bias ? tape[in_proj_bias] : Var();
  return out_proj(attention(linear_rows(query, w, b, 0, d), linear_rows(key, w, b, d, d), linear_rows(value, w, b, 2 * d, d),
                            {.mask = mask, .dropout = options.dropout, .heads = heads}));
}

AttentionResult MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value, const Mask& mask, WithWeights) const {
  Tape& tape = query.tape();
  const Index d = out_proj.weight.shape()[0];
  const Var w = tape[in_proj_weight], b = in_proj_bias ? tape[in_proj_bias] : Var();
  const AttentionResult result =
      attention_by_score(linear_rows(query, w, b, 0, d), linear_rows(key, w, b, d, d), linear_rows(value, w, b, 2 * d, d),
                         {.score = options.score, .mask = mask, .dropout = options.dropout, .heads = heads});
  if (tape.taps().wants(path(), "weights")) tape.taps().add(path(), "weights", result.weights);
  return {out_proj(result.context), result.weights};
}

}  // namespace tapegrad
