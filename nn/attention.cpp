#include "attention.h"

#include "../autograd/ops/arithmetic.h"
#include "../autograd/ops/reduce.h"
#include "../autograd/ops/reshape.h"
#include "init.h"

namespace tapegrad::nn {
namespace {

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

/// Returns `scope`. Throws unless the sizes fit; called before any parameter is made.
const Scope& checked(const Scope& scope, Index d_model, Index heads,
                     const MultiHeadAttentionOptions& options) {
  const std::string_view name = scope.path().empty() ? "MultiHeadAttention" : std::string_view(scope.path());
  expects(d_model > 0 && heads > 0 && d_model % heads == 0,
          "{}: {} heads do not divide d_model = {}; take a divisor of {}", name, heads, d_model, d_model);
  const Index kdim = options.kdim.value_or(d_model), vdim = options.vdim.value_or(d_model);
  expects(kdim > 0 && vdim > 0, "{}: kdim {} and vdim {} must be positive", name, kdim, vdim);
  return scope;
}

bool packed(Index d_model, const MultiHeadAttentionOptions& o) {
  return o.kdim.value_or(d_model) == d_model && o.vdim.value_or(d_model) == d_model;
}

Parameter projection_weight(bool present, const Scope& scope, const char* name, Index rows, Index width) {
  return present ? scope.parameter(name, {rows, width}, xavier_uniform()) : Parameter();
}

/// Throws unless x fits the projection `weight`. `width` names the option that sets x's last extent.
void check_width(const char* argument, const char* width, const Var& x, const Parameter& weight) {
  const Shape &s = x.shape(), &w = weight.shape();
  const std::string_view path = weight.path(), name = path.substr(path.rfind('.') + 1);
  expects((s.rank() == 2 || s.rank() == 3) && s[-1] == w[1],
          "MultiHeadAttention: {} {} and {} {} do not fit: {} must be [batch, time, {}] with {} = {}, or "
          "without batch",
          argument, s, name, w, argument, width, width, w[1]);
}

/// Throws unless query, key and value agree. Called before the projections, so that errors show the caller's
/// shapes.
void check_extents(const Var& query, const Var& key, const Var& value) {
  const Shape &q = query.shape(), &k = key.shape(), &v = value.shape();
  expects(&query.tape() == &key.tape() && &query.tape() == &value.tape(),
          "MultiHeadAttention: query {}, key {} and value {} were recorded on different tapes; all must be "
          "on one tape",
          q, k, v);
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

AttentionResult attention_by_score(const ColumnView& query, const ColumnView& key, const ColumnView& value,
                                   const DotProductAttentionOptions& options) {
  AttentionOptions inner{.mask = options.mask,
                         .bias = options.bias,
                         .dropout = options.dropout,
                         .layout = options.layout,
                         .scores = options.scores};
  const auto run = [&](const ColumnView& q, const ColumnView& k, const ColumnView& v) {
    return options.weights || options.scores ? attention_with_weights(q, k, v, inner)
                                             : AttentionResult{attention(q, k, v, inner)};
  };
  if (options.score == Score::scaled_dot) return run(query, key, value);
  inner.scale = 1;
  if (options.score == Score::dot) return run(query, key, value);

  const auto* packed = std::get_if<PackedHeads>(&options.layout);
  const auto apart = [&](const ColumnView& x) {
    return packed == nullptr ? x.value() : split_heads(x.value(), packed->heads);
  };
  Var q = apart(query), k = apart(key);
  const Var v = apart(value);
  inner.layout = HeadAxis{};
  if (options.score == Score::cosine) {
    q = unit_rows(q);
    k = unit_rows(k);
  } else {
    const Var scores = negative_distances(q, k);
    inner.bias = options.bias ? scores + options.bias : scores;
    q = affine(q, 0);  // the scores are all in the bias
  }
  AttentionResult result = run(q, k, v);
  if (packed != nullptr) result.context = merge_heads(result.context, query.of.rank());
  return result;
}

MultiHeadAttention::MultiHeadAttention(const Scope& scope, Index d_model, Index head_count,
                                       const MultiHeadAttentionOptions& opts)
    : Layer(checked(scope, d_model, head_count, opts)),
      in_proj_weight(projection_weight(packed(d_model, opts), scope, "in_proj_weight", 3 * d_model, d_model)),
      q_proj_weight(projection_weight(!in_proj_weight, scope, "q_proj_weight", d_model, d_model)),
      k_proj_weight(
          projection_weight(!in_proj_weight, scope, "k_proj_weight", d_model, opts.kdim.value_or(d_model))),
      v_proj_weight(
          projection_weight(!in_proj_weight, scope, "v_proj_weight", d_model, opts.vdim.value_or(d_model))),
      in_proj_bias(opts.bias ? scope.parameter("in_proj_bias", {3 * d_model}, zeros) : Parameter()),
      out_proj(scope / "out_proj", d_model, d_model, {.bias = opts.bias, .bias_init = zeros}),
      heads(head_count),
      options(opts) {}

void MultiHeadAttention::check(const Var& query, const Var& key, const Var& value) const {
  check_width("query", "d_model", query, in_proj_weight ? in_proj_weight : q_proj_weight);
  check_width("key", "kdim", key, in_proj_weight ? in_proj_weight : k_proj_weight);
  check_width("value", "vdim", value, in_proj_weight ? in_proj_weight : v_proj_weight);
  check_extents(query, key, value);
}

AttentionResult MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value,
                                            const Mask& mask, const AttentionOutputs& outputs) const {
  check(query, key, value);
  // On a tape with .show_parts the heads get an axis of their own; otherwise they stay columns of d_model.
  const Projections x = project(query, key, value);               // [batch, time, d_model] each
  const Heads h = split(x);                                       // [batch, heads, time, head_dim] each
  AttentionResult result = attend(h, mask, outputs);              // context [batch, heads, query, head_dim]
  const Var all = merge(result.context, h.layout, query.rank());  // [batch, query, d_model]
  result.context = out_proj(all);                                 // [batch, query, d_model]
  return result;
}

Var MultiHeadAttention::forward(const Var& query, const Var& key, const Var& value, const Mask& mask) const {
  return forward(query, key, value, mask, {}).context;
}

/// Q = query W_Qᵀ + b_Q and so on. The kernel of scaled_dot reads columns of one product; the other scores
/// take matrices of their own.
Projections MultiHeadAttention::project(const Var& query, const Var& key, const Var& value) const {
  const Index d = out_proj.weight.shape()[0];
  const Parameter &w = in_proj_weight, &b = in_proj_bias;
  const QueryKeyValue<RowView> bias{rows(b, 0, d), rows(b, d, d), rows(b, 2 * d, d)};
  if (!w) return in_projection({query, key, value}, {q_proj_weight, k_proj_weight, v_proj_weight}, bias);
  return in_projection({query, key, value}, {rows(w, 0, d), rows(w, d, d), rows(w, 2 * d, d)}, bias,
                       options.score == Score::scaled_dot);
}

Heads MultiHeadAttention::split(const Projections& projected) const {
  const Heads h = split_heads(projected, heads);
  return {{tapped("query", h.query, h.layout), tapped("key", h.key, h.layout),
           tapped("value", h.value, h.layout)},
          h.layout};
}

AttentionResult MultiHeadAttention::attend(const Heads& h, const Mask& mask,
                                           const AttentionOutputs& outputs) const {
  const Observers& taps = h.query.of.tape().observers();
  const AttentionResult r =
      attention_by_score(h.query, h.key, h.value,
                         {.score = options.score,
                          .mask = mask,
                          .dropout = options.dropout,
                          .layout = h.layout,
                          .weights = outputs.need_weights || taps.wants(path(), "weights"),
                          .scores = outputs.need_scores || taps.wants(path(), "scores")});
  tapped("scores", r.scores);
  tapped("weights", r.weights);
  tapped("context", r.context, h.layout);
  return r;
}

Var MultiHeadAttention::merge(const Var& context, const HeadLayout& layout, int rank) const {
  return std::holds_alternative<HeadAxis>(layout) ? merge_heads(context, rank) : context;
}

/// Returns `value`; adds it to the taps when they collect `name`.
Var MultiHeadAttention::tapped(const char* name, const Var& value, const HeadLayout& layout) const {
  if (!value) return value;
  Observers& taps = value.tape().observers();
  const auto* packed = std::get_if<PackedHeads>(&layout);
  if (taps.wants(path(), name))
    taps.add(path(), name, value, packed == nullptr ? std::nullopt : std::optional(packed->heads));
  return value;
}

/// As above for columns: when they are collected, copies them into a value of their own.
ColumnView MultiHeadAttention::tapped(const char* name, const ColumnView& x, const HeadLayout& layout) const {
  return x.of.tape().observers().wants(path(), name) ? ColumnView(tapped(name, x.value(), layout)) : x;
}

}  // namespace tapegrad::nn
