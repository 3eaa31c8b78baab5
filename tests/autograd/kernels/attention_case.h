/// A random attention problem, its naive solution in double, and a run of the kernels on it.
#pragma once

#include <tapegrad/autograd/kernels/attention/attention.h>

#include "support.h"

namespace tapegrad::test {

struct AttentionShape {
  Index batch, heads, query, key, dim, value_dim;
};

struct AttentionOptions {
  bool causal = false;
  Index causal_offset = 0;
  bool lengths = false, keep = false, bias = false, dweights = false;
  double dropout = 0;
  bool constant_bias = false;  // without a gradient
  bool taps = false;           // scores, and the gradients of scores and weights
  bool dscores = false;
};

template <class T>
struct AttentionResult {
  std::vector<T> out, weights, dquery, dkey, dvalue, dbias, scores, weights_gradient, scores_gradient;

  template <class F>
  void each(F f) const {
    f("out", out);
    f("weights", weights);
    f("dquery", dquery);
    f("dkey", dkey);
    f("dvalue", dvalue);
    f("dbias", dbias);
    f("scores", scores);
    f("weights_gradient", weights_gradient);
    f("scores_gradient", scores_gradient);
  }
};

/// Operands are [batch, time, heads * dim + 3]; the bias is [1, heads, query, key], keep [batch, 1, query,
/// key].
template <class T>
struct AttentionCase {
  AttentionShape s;
  AttentionOptions o;
  std::vector<T> query, key, value, bias, dout, dweights, dscores;
  std::vector<std::uint8_t> keep;
  std::vector<std::int64_t> lengths;
  T scale = static_cast<T>(0.4);
  RandomKey random = random_key(5, 6, 7, 8);

  AttentionCase(Source& source, AttentionShape shape, AttentionOptions options) : s(shape), o(options) {
    query = source.values<T>(s.batch * s.query * row(s.dim), -2, 2);
    key = source.values<T>(s.batch * s.key * row(s.dim), -2, 2);
    value = source.values<T>(s.batch * s.key * row(s.value_dim));
    bias = source.values<T>(s.heads * s.query * s.key);
    dout = source.values<T>(s.batch * s.query * row(s.value_dim));
    dweights = source.values<T>(s.batch * s.heads * s.query * s.key);
    dscores = source.values<T>(s.batch * s.heads * s.query * s.key);
    for (Index i = 0; i < s.batch * s.query * s.key; ++i) keep.push_back(source.next() > -0.4);
    for (Index i = 0; i < std::min<Index>(s.key, s.batch * s.query * s.key); ++i)
      keep[static_cast<std::size_t>(i)] = 0;  // a fully masked row
    for (Index b = 0; b < s.batch; ++b) lengths.push_back(b == 1 ? 0 : 1 + source.index(s.key));
  }

  Index row(Index dim) const { return s.heads * dim + 3; }
  kernels::HeadStrides strides(Index time, Index dim) const { return {time * row(dim), dim, row(dim)}; }
  std::size_t at(Index b, Index h, Index t, Index time, Index dim, Index e) const {
    return static_cast<std::size_t>((b * time + t) * row(dim) + h * dim + e);
  }
  std::size_t score(Index b, Index h, Index q, Index k) const {
    return static_cast<std::size_t>(((b * s.heads + h) * s.query + q) * s.key + k);
  }
  std::size_t bias_at(Index h, Index q, Index k) const {
    return static_cast<std::size_t>((h * s.query + q) * s.key + k);
  }
  bool allowed(Index b, Index q, Index k) const {
    return !(o.causal && k > q + o.causal_offset) &&
           !(o.lengths && k >= lengths[static_cast<std::size_t>(b)]) &&
           !(o.keep && !keep[static_cast<std::size_t>((b * s.query + q) * s.key + k)]);
  }
  double factor(std::size_t element) const {
    if (o.dropout <= 0) return 1;
    return random_bits(random, element) >= kernels::dropout_threshold(o.dropout) ? 1 / (1 - o.dropout) : 0;
  }

  /// Gradients start from 0.5, to see that they are added. `with_weights`: ask the forward for the weights;
  /// `add`: false where they are written; `all_gradients`: that of a bias that is not there, too, which takes
  /// the backward pass row by row.
  AttentionResult<T> run(bool with_weights = true, bool all_gradients = false, bool add = true) const {
    const auto size = [](const auto& v) { return v.size(); };
    const std::vector<T> none;
    const auto starting = [](bool given, const std::vector<T>& v) {
      return given ? v : std::vector<T>(v.size());
    };
    AttentionResult<T> r{std::vector<T>(size(dout), T{9}),
                         std::vector<T>(with_weights ? size(dweights) : 0, T{9}),
                         std::vector<T>(size(query), T(0.5)),
                         std::vector<T>(size(key), T(0.5)),
                         std::vector<T>(size(value), T(0.5)),
                         std::vector<T>(size(bias), T(0.5)),
                         std::vector<T>(o.taps ? size(dweights) : 0, T{9}),
                         o.taps ? starting(o.dweights, dweights) : none,
                         o.taps ? starting(o.dscores, dscores) : none};
    std::vector<T> max(static_cast<std::size_t>(s.batch * s.heads * s.query)), sum = max;
    kernels::AttentionArgs<T> a;
    a.batch = s.batch, a.heads = s.heads, a.query_len = s.query, a.key_len = s.key;
    a.head_dim = s.dim, a.value_dim = s.value_dim;
    a.query = query.data(), a.key = key.data(), a.value = value.data(), a.out = r.out.data();
    a.query_strides = strides(s.query, s.dim), a.key_strides = strides(s.key, s.dim);
    a.value_strides = strides(s.key, s.value_dim), a.out_strides = strides(s.query, s.value_dim);
    a.scale = scale;
    a.causal = o.causal, a.causal_offset = o.causal_offset;
    a.key_lengths = o.lengths ? lengths.data() : nullptr;
    a.keep = o.keep ? keep.data() : nullptr, a.keep_strides = {s.query * s.key, 0, s.key, 1};
    a.bias = o.bias ? bias.data() : nullptr, a.bias_strides = {0, s.query * s.key, s.key, 1};
    a.dropout = o.dropout, a.dropout_key = random;
    a.weights = with_weights ? r.weights.data() : nullptr;
    a.scores = o.taps ? r.scores.data() : nullptr;
    a.row_max = max.data(), a.row_inverse_sum = sum.data();
    kernels::AttentionGradients<T> g;
    g.dout = dout.data(), g.dout_strides = a.out_strides;
    g.dweights = o.dweights ? dweights.data() : nullptr;
    g.dscores = o.dscores ? dscores.data() : nullptr;
    if (o.taps) {  // in place
      g.dweights = g.weights_gradient = r.weights_gradient.data();
      g.dscores = g.scores_gradient = r.scores_gradient.data();
    }
    g.dquery = r.dquery.data(), g.dkey = r.dkey.data(), g.dvalue = r.dvalue.data();
    g.dquery_strides = a.query_strides, g.dkey_strides = a.key_strides, g.dvalue_strides = a.value_strides;
    g.dbias = (o.bias && !o.constant_bias) || all_gradients ? r.dbias.data() : nullptr;
    g.dbias_strides = a.bias_strides;
    g.add_to_query = g.add_to_key = g.add_to_value = add;
    kernels::attention_forward(a);
    kernels::attention_backward(a, g);
    return r;
  }

  AttentionResult<double> expected() const;
};

template <class T>
AttentionResult<double> AttentionCase<T>::expected() const {
  const auto filled = [](const auto& v, double x) { return std::vector<double>(v.size(), x); };
  AttentionResult<double> r{filled(dout, 9),
                            filled(dweights, 0),
                            filled(query, 0.5),
                            filled(key, 0.5),
                            filled(value, 0.5),
                            filled(bias, 0.5),
                            {},
                            {},
                            {}};
  if (o.taps) r.scores = r.weights_gradient = r.scores_gradient = filled(dweights, 0);
  const auto get = [](const auto& v, std::size_t i) { return static_cast<double>(v[i]); };
  const auto wide = static_cast<double>(scale);
  for (Index b = 0; b < s.batch; ++b)
    for (Index h = 0; h < s.heads; ++h)
      for (Index q = 0; q < s.query; ++q) {
        std::vector<double> w(static_cast<std::size_t>(s.key)), dw = w;
        double max = -1e300, sum = 0, dot = 0;
        for (Index k = 0; k < s.key; ++k) {
          double& x = w[static_cast<std::size_t>(k)];
          for (Index e = 0; e < s.dim; ++e)
            x += get(query, at(b, h, q, s.query, s.dim, e)) * get(key, at(b, h, k, s.key, s.dim, e)) * wide;
          if (o.bias) x += get(bias, bias_at(h, q, k));
          if (o.taps) r.scores[score(b, h, q, k)] = x;
          if (allowed(b, q, k)) max = std::max(max, x);
        }
        for (Index k = 0; k < s.key; ++k) {
          double& x = w[static_cast<std::size_t>(k)];
          x = allowed(b, q, k) ? std::exp(x - max) : 0;
          sum += x;
        }
        for (Index k = 0; k < s.key; ++k) {
          const double x = sum > 0 ? w[static_cast<std::size_t>(k)] /= sum : 0;
          double& d = dw[static_cast<std::size_t>(k)];
          r.weights[score(b, h, q, k)] = x;
          const double kept = factor(score(b, h, q, k));
          for (Index e = 0; e < s.value_dim; ++e) {
            const std::size_t v = at(b, h, k, s.key, s.value_dim, e),
                              to = at(b, h, q, s.query, s.value_dim, e);
            if (k == 0) r.out[to] = 0;
            r.out[to] += x * kept * get(value, v);
            r.dvalue[v] += x * kept * get(dout, to);
            d += kept * get(value, v) * get(dout, to);
          }
          if (o.dweights) d += get(dweights, score(b, h, q, k));
          if (o.taps) r.weights_gradient[score(b, h, q, k)] = d;
          dot += x * d;
        }
        for (Index k = 0; k < s.key; ++k) {
          double ds = w[static_cast<std::size_t>(k)] * (dw[static_cast<std::size_t>(k)] - dot);
          if (o.dscores) ds += get(dscores, score(b, h, q, k));
          if (o.taps) r.scores_gradient[score(b, h, q, k)] = ds;
          if (o.bias) r.dbias[bias_at(h, q, k)] += ds;
          for (Index e = 0; e < s.dim; ++e) {
            const std::size_t iq = at(b, h, q, s.query, s.dim, e), ik = at(b, h, k, s.key, s.dim, e);
            r.dquery[iq] += ds * wide * get(key, ik);
            r.dkey[ik] += ds * wide * get(query, iq);
          }
        }
      }
  if (!o.bias) r.dbias.clear();
  return r;
}

}  // namespace tapegrad::test
