#include "attention.h"

#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/attention/attention_packed.h"
#include "../autograd/ops/linear.h"
#include "../autograd/ops/matmul.h"
#include "../autograd/ops/reduce.h"
#include "../autograd/ops/reshape.h"
#include "../autograd/ops/slice.h"
#include "../autograd/ops/transpose.h"
#include "init.h"

namespace tapegrad::nn {
namespace {

/// [batch, time, heads · dim], or without batch, -> [batch, heads, time, dim]
Var split_heads(const Var& x, Index heads) {
  if (heads == 0) return x;
  const Shape s = x.shape();
  expects(s.rank() == 2 || s.rank() == 3,
          "attention: {} heads packed in a value of shape {}; it must be "
          "[batch, time, heads * dim], or without batch",
          heads, s);
  expects(heads > 0 && s[-1] % heads == 0, "attention: {} heads do not divide the last axis of {}", heads, s);
  return transpose(reshape(x, {s.rank() == 3 ? s[0] : 1, s[-2], heads, s[-1] / heads}), 1, 2);
}

/// [batch, heads, query, dim] -> [batch, query, heads · dim], or without batch where `rank` is 2
Var merge_heads(const Var& x, int rank) {
  const Shape s = x.shape();
  const Var merged = transpose(x, 1, 2);
  return rank == 2 ? reshape(merged, {s[2], s[1] * s[3]}) : reshape(merged, {s[0], s[2], s[1] * s[3]});
}

/// x / ‖x‖ over the last axis; a zero row stays zero.
Var unit_rows(const Var& x) {
  constexpr double tiny = 1e-8;  // as in PyTorch's cosine_similarity
  return x / maximum(norm(x, {.axis = -1, .keepdim = true}), x.tape().full({}, tiny));
}

/// −‖q − k‖ for every pair.   q [.., query, dim], k [.., key, dim] -> [batch, heads, query, key], or [query,
/// key]
Var negative_distances(const Var& q, const Var& k) {
  const Var scores = -norm(unsqueeze(q, -2) - unsqueeze(k, -3), -1);
  return q.rank() == 3 ? unsqueeze(scores, 1) : scores;  // one head: [batch, 1, query, key]
}

/// Before any parameter is made.
const Scope& checked(const Scope& scope, Index d_model, Index heads,
                     const MultiHeadAttentionOptions& options) {
  const std::string_view name = scope.path().empty() ? "MultiHeadAttention" : std::string_view(scope.path());
  expects(d_model > 0 && heads > 0 && d_model % heads == 0,
          "{}: {} heads do not divide d_model = {}; take a divisor of {}", name, heads, d_model, d_model);
  expects(options.kdim >= 0 && options.vdim >= 0,
          "{}: kdim {} and vdim {} must not be negative; 0 stands for d_model", name, options.kdim,
          options.vdim);
  return scope;
}

bool packed(Index d_model, const MultiHeadAttentionOptions& o) {
  return (o.kdim == 0 || o.kdim == d_model) && (o.vdim == 0 || o.vdim == d_model);
}

Parameter in_projection(bool present, const Scope& scope, const char* name, Index rows, Index width) {
  return present ? scope.parameter(name, {rows, width}, xavier_uniform()) : Parameter();
}

/// x against the projection `weight` that it goes into; `width` is the option that x's last axis follows.
void check_width(const char* argument, const char* width, const Var& x, const Parameter& weight) {
  const Shape &s = x.shape(), &w = weight.shape();
  const std::string_view path = weight.path(), name = path.substr(path.rfind('.') + 1);
  expects((s.rank() == 2 || s.rank() == 3) && s[-1] == w[1],
          "MultiHeadAttention: {} {} and {} {} do not fit: {} must be [batch, time, {}] with {} = {}, or "
          "without batch",
          argument, s, name, w, argument, width, width, w[1]);
}

bool same(const Var& a, const Var& b) {
  return a.stamp().slot == b.stamp().slot && a.stamp().serial == b.stamp().serial && a.output() == b.output();
}

/// All before the first projection, so that errors show the shapes that the caller gave.
void check_extents(const Var& query, const Var& key, const Var& value) {
  const Shape &q = query.shape(), &k = key.shape(), &v = value.shape();
  expects(q.rank() == k.rank() && q.rank() == v.rank() && (q.rank() == 2 || (q[0] == k[0] && q[0] == v[0])),
          "MultiHeadAttention: query {}, key {} and value {} differ in the extent of axis 0, batch, or in "
          "rank: all are [batch, time, width], or all without batch",
          q, k, v);
  expects(k[-2] == v[-2],
          "MultiHeadAttention: key {} and value {} differ in the number of keys, axis {}: each key has one "
          "value",
          k, v, k.rank() - 2);
}

}  // namespace

AttentionResult attention_by_score(const Var& query, const Var& key, const Var& value,
                                   const DotProductAttentionOptions& options) {
  AttentionOptions inner{.mask = options.mask,
                         .bias = options.bias,
                         .dropout = options.dropout,
                         .heads = options.heads,
                         .scores = options.scores};
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
    const Var scores = negative_distances(q, k);
    inner.bias = options.bias ? scores + options.bias : scores;
    q = affine(q, 0);  // the scores are all in the bias
  }
  AttentionResult result = attention_with_weights(q, k, v, inner);
  if (options.heads > 0) result.context = merge_heads(result.context, query.rank());
  return result;
}

MultiHeadAttention::MultiHeadAttention(const Scope& scope, Index d_model, Index head_count,
                                       const MultiHeadAttentionOptions& opts)
    : Layer(checked(scope, d_model, head_count, opts)),
      in_proj_weight(in_projection(packed(d_model, opts), scope, "in_proj_weight", 3 * d_model, d_model)),
      q_proj_weight(in_projection(!in_proj_weight, scope, "q_proj_weight", d_model, d_model)),
      k_proj_weight(in_projection(!in_proj_weight, scope, "k_proj_weight", d_model,
                                  opts.kdim > 0 ? opts.kdim : d_model)),
      v_proj_weight(in_projection(!in_proj_weight, scope, "v_proj_weight", d_model,
                                  opts.vdim > 0 ? opts.vdim : d_model)),
      in_proj_bias(opts.bias ? scope.parameter("in_proj_bias", {3 * d_model}, zeros) : Parameter()),
      out_proj(scope / "out_proj", d_model, d_model, {.bias = opts.bias, .bias_init = zeros}),
      heads(head_count),
      options(opts) {}

MultiHeadAttention::Projected MultiHeadAttention::project(const Var& query, const Var& key,
                                                          const Var& value) const {
  Tape& tape = query.tape();
  const Index d = out_proj.weight.shape()[0];
  const Var b = in_proj_bias ? tape[in_proj_bias] : Var();
  if (in_proj_weight) {
    const Var w = tape[in_proj_weight];
    return {linear_rows(query, w, b, 0, d), linear_rows(key, w, b, d, d), linear_rows(value, w, b, 2 * d, d)};
  }
  return {linear_bias_part(query, tape[q_proj_weight], b, 0),
          linear_bias_part(key, tape[k_proj_weight], b, d),
          linear_bias_part(value, tape[v_proj_weight], b, 2 * d)};
}

/// The same where key and value are one: parts of what one product makes, as the packed op reads them.
MultiHeadAttention::Projected MultiHeadAttention::slices(const Var& query, const Var& key) const {
  Tape& tape = query.tape();
  const Index d = out_proj.weight.shape()[0];
  const Var w = tape[in_proj_weight], b = in_proj_bias ? tape[in_proj_bias] : Var();
  if (same(query, key)) {
    const Var qkv = linear(query, w, b);
    return {slice(qkv, -1, 0, d), slice(qkv, -1, d, d), slice(qkv, -1, 2 * d, d)};
  }
  const Var q = linear_rows(query, w, b, 0, d), kv = linear_rows(key, w, b, d, 2 * d);
  return {q, slice(kv, -1, 0, d), slice(kv, -1, d, d)};
}

void MultiHeadAttention::check(const Var& query, const Var& key, const Var& value) const {
  check_width("query", "d_model", query, in_proj_weight ? in_proj_weight : q_proj_weight);
  check_width("key", "kdim", key, in_proj_weight ? in_proj_weight : k_proj_weight);
  check_width("value", "vdim", value, in_proj_weight ? in_proj_weight : v_proj_weight);
  check_extents(query, key, value);
}

void MultiHeadAttention::tap(const char* name, const Var& value, Index packed_heads) const {
  Observers& observers = value.tape().observers();
  if (observers.wants(path(), name)) observers.add(path(), name, value, packed_heads);
}

/// One product makes all that comes from one value, where the weights lie in one matrix. A tape that shows
/// parts has every projection and every head apart.
AttentionResult MultiHeadAttention::context(const Var& query, const Var& key, const Var& value,
                                            const Mask& mask, bool weights) const {
  check(query, key, value);
  Tape& tape = query.tape();
  const auto wants = [&](const char* name) { return tape.observers().wants(path(), name); };
  const bool scores = wants("scores"), parts = tape.options().show_parts;
  weights |= wants("weights");
  const bool together = in_proj_weight && options.score == Score::scaled_dot && same(key, value) && !parts;
  AttentionResult result;
  if (together && !wants("query") && !wants("key") && !wants("value")) {
    const Index d = out_proj.weight.shape()[0];
    const Var w = tape[in_proj_weight], b = in_proj_bias ? tape[in_proj_bias] : Var();
    const PackedAttentionOptions packed_options{heads, mask, options.dropout, weights, scores};
    result = same(query, key) ? attention_packed(linear(query, w, b), packed_options)
                              : attention_packed(linear_rows(query, w, b, 0, d),
                                                 linear_rows(key, w, b, d, 2 * d), packed_options);
  } else {
    Projected in = together ? slices(query, key) : project(query, key, value);
    if (parts) in = {split_heads(in.query, heads), split_heads(in.key, heads), split_heads(in.value, heads)};
    const Index side_by_side = parts ? 0 : heads;
    tap("query", in.query, side_by_side);
    tap("key", in.key, side_by_side);
    tap("value", in.value, side_by_side);
    if (options.score == Score::scaled_dot && !weights && !scores)
      result.context = attention(in.query, in.key, in.value,
                                 {.mask = mask, .dropout = options.dropout, .heads = side_by_side});
    else
      result = attention_by_score(in.query, in.key, in.value,
                                  {.score = options.score,
                                   .mask = mask,
                                   .dropout = options.dropout,
                                   .heads = side_by_side,
                                   .scores = scores});
  }
  if (scores) tap("scores", result.scores);
  if (weights) tap("weights", result.weights);
  tap("context", result.context, parts ? 0 : heads);
  if (parts) result.context = merge_heads(result.context, query.rank());
  return result;
}

Var MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value, const Mask& mask) const {
  return out_proj(context(query, key, value, mask, false).context);
}

AttentionResult MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value,
                                            const Mask& mask, WithWeights) const {
  AttentionResult result = context(query, key, value, mask, true);
  result.context = out_proj(result.context);
  return result;
}

}  // namespace tapegrad::nn
