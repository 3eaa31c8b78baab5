#include "attention.h"

#include <algorithm>
#include <cmath>

#include "../../kernels/attention/attention.h"
#include "../reshape.h"
#include "../transpose.h"
#include "../typed.h"
#include "equation.h"

namespace tapegrad {
namespace {

/// The columns of input `input` that are query, key or value.
struct Columns {
  std::size_t input;
  Index begin, width;
};

/// Throws unless query, key and value fit each other and the layout.
void check_operands(const PackedHeads* packed, const Shape& q, const Shape& k, const Shape& v) {
  const int rank = q.rank(), most = packed != nullptr ? 3 : 4;
  expects(rank >= 2 && rank <= most && k.rank() == rank && v.rank() == rank,
          "attention: query {}, key {} and value {} must have the "
          "same rank, from 2 to {}: {}",
          q, k, v, most,
          packed != nullptr ? "[batch, time, heads * dim], or without batch"
                            : "[batch, heads, time, dim], or without heads, or without both");
  for (int i = 0; i < rank - 2; ++i)
    expects(q[i] == k[i] && q[i] == v[i],
            "attention: query {}, key {} and value {} differ in the extent of axis {}, {}", q, k, v, i,
            i == 0 ? "batch" : "heads");
  expects(k[-2] == v[-2], "attention: key {} and value {} differ in the number of keys, axis {}", k, v,
          rank - 2);
  expects(q[-1] == k[-1],
          "attention: query {} and key {} differ in the extent of axis {}: each query is multiplied by each "
          "key, so both need one width",
          q, k, rank - 1);
  if (packed != nullptr)
    expects(q[-1] % packed->heads == 0 && v[-1] % packed->heads == 0,
            "attention: {} heads do not divide the last axes of query {} and value {}", packed->heads, q, v);
}

/// The extents of query, key and value, which fit each other.
struct Extents {
  Index batch = 1, heads = 1, query, key, dim, value_dim;

  /// `queries` is the shape of what query is columns of; `width` and `value_width` are those of all heads.
  Extents(const PackedHeads* packed, const Shape& queries, Index keys, Index width, Index value_width)
      : query(queries[-2]), key(keys), packed_(packed != nullptr), rank_(queries.rank()) {
    if (packed_) heads = packed->heads;
    if (rank_ == 4) heads = queries[1];
    if (rank_ > 2) batch = queries[0];
    dim = packed_ ? width / heads : width;
    value_dim = packed_ ? value_width / heads : value_width;
  }

  Shape scores() const { return {batch, heads, query, key}; }
  Shape context() const {
    if (rank_ == 2) return {query, packed_ ? heads * value_dim : value_dim};
    if (packed_) return {batch, query, heads * value_dim};
    return rank_ == 3 ? Shape{batch, query, value_dim} : Shape{batch, heads, query, value_dim};
  }
  /// The strides of an operand with heads `width` wide, in rows of `row` elements.
  kernels::HeadStrides strides(Index time, Index width, Index row) const {
    if (packed_) return {time * row, width, row};
    return {heads * time * row, time * row, row};
  }

 private:
  bool packed_;
  int rank_;
};

kernels::ScoreStrides score_strides(const Shape& from, const Shape& scores) {
  const auto s = broadcast_strides(from, scores);
  return {s[0], s[1], s[2], s[3]};
}

/// Inputs: what query, key and value are parts of, then the bias where there is one. Results: context, then
/// weights and scores where they are wanted, then what is saved: maximum and 1 / sum of each row of scores.
struct Attention final : Typed<Attention, Fused> {
  static constexpr bool composite = true;
  HeadLayout layout;
  AttentionState state;
  Columns query, key, value;
  bool bias = false;  // the last input
  bool weights = false, scores = false;

  const char* name() const override { return "attention"; }
  Formula formula() const override {
    return "c = dropout(w) v, w = softmax(mask(a)), a = s q k' + b;  dv = dropout(w)' dc, g = dropout(dc v') "
           "+ dw, e = w (g - sum(w g)) + da, dq = s e k, dk = s e' q, db = e";
  }
  void attributes(Attributes& list) const override {
    if (packed() != nullptr) list.emplace_back("heads", static_cast<double>(packed()->heads));
    if (state.mask.causal) list.emplace_back("causal_offset", static_cast<double>(state.mask.causal_offset));
    if (state.dropout > 0) list.emplace_back("dropout", state.dropout);
  }
  int outputs() const override { return 1 + (weights ? 1 : 0) + (scores ? 1 : 0); }
  int saved() const override { return 2; }
  /// Weights and scores are on the way to the context.
  bool accumulates_into_output_grad(int output) const override { return output > 0 && output < outputs(); }

  Shape shape(Views in, int output) const override {
    if (output == 0) check_operands(packed(), shape_of(query, in), shape_of(key, in), shape_of(value, in));
    const Extents e = extents(in);
    if (output == 0) {
      state.mask.check("attention", e.scores());
      if (bias) check_bias(in.back().shape, e.scores());
      return e.context();
    }
    return output < outputs() ? e.scores() : Shape{e.batch, e.heads, e.query};
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    kernels::attention_forward(arguments<T>(in.views, out.views));
  }

  double flops(Views in, Views) const override {
    const Extents e = extents(in);
    return 2 * static_cast<double>(e.scores().size()) * static_cast<double>(e.dim + e.value_dim);
  }
  /// All of an input whose columns are all read.
  Range writable_range(std::size_t input, Views in, Views) const override {
    Index read = 0;
    for (const Columns& c : {query, key, value}) read += c.input == input ? c.width : 0;
    return input < in.size() - (bias ? 1 : 0) && read == in[input].shape[-1] ? everything : nothing;
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const auto args = arguments<T>(g.args.inputs, g.args.outputs);
    const auto gradient = [&](const Columns& c) {
      T* of = g.dx(c.input);
      return of ? of + c.begin : nullptr;
    };
    kernels::AttentionGradients<T> grads;
    grads.dout = g.dy();
    grads.dout_strides = args.out_strides;
    if (weights) grads.dweights = grads.weights_gradient = g.args.doutputs[1].template data<T>();
    if (scores)
      grads.dscores = grads.scores_gradient =
          g.args.doutputs[static_cast<std::size_t>(outputs()) - 1].template data<T>();
    grads.dquery = gradient(query);
    grads.dkey = gradient(key);
    grads.dvalue = gradient(value);
    grads.add_to_query = !g.uninitialized(query.input);
    grads.add_to_key = !g.uninitialized(key.input);
    grads.add_to_value = !g.uninitialized(value.input);
    grads.dquery_strides = args.query_strides;
    grads.dkey_strides = args.key_strides;
    grads.dvalue_strides = args.value_strides;
    grads.dbias = bias ? g.dx(g.args.dinputs.size() - 1) : nullptr;
    grads.dbias_strides = args.bias_strides;
    kernels::attention_backward(args, grads);
  }

  VarList define(std::span<const Var> in) const override {
    const auto value_of = [&](const Columns& c) { return ColumnView(in[c.input], c.begin, c.width).value(); };
    const Var q = value_of(query), k = value_of(key), v = value_of(value);
    check_operands(packed(), q.shape(), k.shape(), v.shape());
    const Extents e(packed(), q.shape(), k.shape()[-2], query.width, value.width);
    const bool has_heads = packed() == nullptr;
    const auto heads_first = [&](const Var& x, Index time, Index dim) {  // -> [batch, heads, time, dim]
      if (has_heads) return x.rank() == 4 ? x : reshape(x, {e.batch, e.heads, time, dim});
      return permute(reshape(x, {e.batch, time, e.heads, dim}), {0, 2, 1, 3});
    };
    const AttentionSteps steps =
        attention_equation(heads_first(q, e.query, e.dim), heads_first(k, e.key, e.dim),
                           heads_first(v, e.key, e.value_dim), bias ? in.back() : Var(), state);
    const Var merged = has_heads ? steps.context : permute(steps.context, {0, 2, 1, 3});
    VarList results{merged.shape() == e.context() ? merged : reshape(merged, e.context())};
    if (weights) results.push_back(steps.weights);
    if (scores) results.push_back(steps.scores);
    return results;
  }

 private:
  const PackedHeads* packed() const { return std::get_if<PackedHeads>(&layout); }
  Extents extents(Views in) const {
    return {packed(), in[query.input].shape, in[key.input].shape[-2], query.width, value.width};
  }

  static Shape shape_of(const Columns& c, Views in) {
    const Shape& of = in[c.input].shape;
    return of.rank() == 0 ? of : of.with_tail(1, {c.width});
  }

  static void check_bias(const Shape& shape, const Shape& score_shape) {
    Shape result;
    expects(broadcast(shape, score_shape, result) && result == score_shape,
            "attention: bias of shape {} does not broadcast to [batch, heads, query, key] = {}", shape,
            score_shape);
  }

  template <class T>
  kernels::AttentionArgs<T> arguments(Views in, Views out) const {
    const Extents e = extents(in);
    const auto data = [&](const Columns& c) { return in[c.input].data<T>() + c.begin; };
    const auto row = [&](const Columns& c) { return in[c.input].shape[-1]; };
    kernels::AttentionArgs<T> args;
    args.batch = e.batch;
    args.heads = e.heads;
    args.query_len = e.query;
    args.key_len = e.key;
    args.head_dim = e.dim;
    args.value_dim = e.value_dim;
    args.query = data(query);
    args.key = data(key);
    args.value = data(value);
    args.out = out[0].data<T>();
    args.query_strides = e.strides(e.query, e.dim, row(query));
    args.key_strides = e.strides(e.key, e.dim, row(key));
    args.value_strides = e.strides(e.key, e.value_dim, row(value));
    args.out_strides = e.strides(e.query, e.value_dim, out[0].shape[-1]);
    args.scale = static_cast<T>(state.scale);
    args.causal = state.mask.causal;
    args.causal_offset = state.mask.causal_offset;
    args.key_lengths = state.mask.lengths.data<std::int64_t>();
    args.keep = state.mask.keep.data<std::uint8_t>();
    if (state.mask.keep) args.keep_strides = score_strides(state.mask.keep.shape, e.scores());
    if (bias) {
      args.bias = in.back().data<T>();
      args.bias_strides = score_strides(in.back().shape, e.scores());
    }
    args.dropout = state.dropout;
    args.dropout_key = state.draw;
    const auto visible = static_cast<std::size_t>(outputs());
    args.weights = weights ? out[1].data<T>() : nullptr;
    args.scores = scores ? out[visible - 1].data<T>() : nullptr;
    args.row_max = out[visible].data<T>();
    args.row_inverse_sum = out[visible + 1].data<T>();
    return args;
  }
};

/// The columns' place among the inputs: an input of their own, or with other columns of one value, where they
/// do not overlap.
Columns place(const ColumnView& x, VarList& inputs, std::initializer_list<Columns> before) {
  for (const Columns& c : before) {
    if (x.whole() || !same_value(inputs[c.input], x.of)) continue;
    const bool free = std::all_of(before.begin(), before.end(), [&](const Columns& other) {
      return other.input != c.input || other.begin + other.width <= x.begin ||
             x.begin + x.width <= other.begin;
    });
    if (free) return {c.input, x.begin, x.width};
  }
  inputs.push_back(x.of);
  return {inputs.size() - 1, x.begin, x.width};
}

VarList run(const ColumnView& query, const ColumnView& key, const ColumnView& value,
            const AttentionOptions& options, bool weights) {
  Tape& tape = query.of.tape("attention");
  key.of.tape("attention");
  value.of.tape("attention");
  const auto* packed = std::get_if<PackedHeads>(&options.layout);
  expects(packed == nullptr || packed->heads > 0, "attention: heads must be positive, got {}",
          packed == nullptr ? 1 : packed->heads);
  return tape.with_rollback([&] {
    Attention op;
    op.layout = options.layout;
    op.state = attention_state(tape, options, packed == nullptr ? query.width : query.width / packed->heads);
    op.bias = static_cast<bool>(options.bias);
    op.weights = weights;
    op.scores = weights && options.scores;
    VarList inputs;
    op.query = place(query, inputs, {});
    op.key = place(key, inputs, {op.query});
    op.value = place(value, inputs, {op.query, op.key});
    if (options.bias) inputs.push_back(options.bias);
    return apply_all(op, {inputs.begin(), inputs.size()});
  });
}

}  // namespace

AttentionState attention_state(Tape& tape, const AttentionOptions& options, Index dim) {
  expects(options.dropout >= 0 && options.dropout <= 1, "attention: dropout must be in [0, 1], got {}",
          options.dropout);
  const double root = dim == 0 ? 0 : 1 / std::sqrt(static_cast<double>(dim));
  AttentionState state{.scale = options.scale.value_or(root),
                       .mask = options.mask.copy_to_arena(tape),
                       .dropout = tape.training() ? options.dropout : 0};
  if (state.dropout > 0) state.draw = tape.next_draw();
  return state;
}

Var attention(const ColumnView& query, const ColumnView& key, const ColumnView& value,
              const AttentionOptions& options) {
  return run(query, key, value, options, false)[0];
}

AttentionResult attention_with_weights(const ColumnView& query, const ColumnView& key,
                                       const ColumnView& value, const AttentionOptions& options) {
  const VarList results = run(query, key, value, options, true);
  return {results[0], results[1], options.scores ? results[2] : Var()};
}

}  // namespace tapegrad
