#include "attention.h"

#include <cmath>

#include "../../gradcheck/samples.h"
#include "../arithmetic.h"
#include "../dropout.h"
#include "../elementwise.h"
#include "../matmul.h"
#include "../reduce.h"
#include "../reshape.h"
#include "../slice.h"
#include "../transpose.h"
#include "attention_state.h"
#include "masked_softmax.h"

namespace tapegrad {
namespace {

/// Inputs: query, key, value, then the bias where there is one.
struct Attention final : Fused {
  static constexpr bool composite = true;
  HeadLayout layout;
  double scale;
  HeldAttention held;

  const char* name() const override { return "attention"; }
  Formula formula() const override {
    return "c = dropout(w) v, w = softmax(mask(a)), a = s q k' + b;  dv = dropout(w)' dc, g = dropout(dc v') "
           "+ "
           "dw, e = w (g - sum(w g)) + da, dq = s e k, dk = s e' q, db = e";
  }
  void attributes(Attributes& list) const override {
    if (layout.packed) list.emplace_back("heads", static_cast<double>(layout.heads));
    held.attributes(list);
  }
  int outputs() const override { return held.outputs(); }
  int saved() const override { return 2; }  // maximum and 1 / sum of each row of scores
  bool completes(int output) const override { return held.completes(output); }

  Shape shape(Views in, int output) const override {
    const AttentionExtents e(layout, in);
    if (output == 0) {
      held.mask.check("attention", e.scores());
      if (in.size() > 3) check_bias(in[3].shape, e.scores());
      return e.context();
    }
    return output < outputs() ? e.scores() : Shape{e.batch, e.heads, e.query};
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      auto args = arguments<decltype(zero)>(in, out);
      kernels::attention_forward(args);
    });
  }

  double flops(Views in, Views) const override {
    const AttentionExtents e(layout, in);
    return 2 * static_cast<double>(e.scores().size()) * static_cast<double>(e.dim + e.value_dim);
  }
  Range overwrites(std::size_t input, Views, Views) const override {
    return input < 3 ? everything : nothing;
  }
  void backward(const BackwardArgs& b) const override {
    dispatch(b.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto args = arguments<T>(b.inputs, b.outputs);
      kernels::AttentionGradients<T> grads;
      grads.dout = b.doutputs[0].data<T>();
      grads.dout_strides = args.out_strides;
      held.put(grads, b.doutputs);
      grads.dquery = b.dinputs[0].data<T>();
      grads.dkey = b.dinputs[1].data<T>();
      grads.dvalue = b.dinputs[2].data<T>();
      grads.add_to_query = !b.fresh[0];
      grads.add_to_key = !b.fresh[1];
      grads.add_to_value = !b.fresh[2];
      grads.dquery_strides = args.query_strides;
      grads.dkey_strides = args.key_strides;
      grads.dvalue_strides = args.value_strides;
      grads.dbias = b.dinputs.size() > 3 ? b.dinputs[3].data<T>() : nullptr;
      grads.dbias_strides = args.bias_strides;
      kernels::attention_backward(args, grads);
    });
  }

  VarList define(std::span<const Var> in) const override {
    ViewList views;
    for (std::size_t i = 0; i < 3; ++i) views.push_back({nullptr, in[i].shape(), in[i].dtype()});
    const AttentionExtents e(layout, views);
    const auto heads_first = [&](const Var& x, Index time, Index dim) {  // -> [batch, heads, time, dim]
      if (!layout.packed) return x.rank() == 4 ? x : reshape(x, {e.batch, e.heads, time, dim});
      return permute(reshape(x, {e.batch, time, e.heads, dim}), {0, 2, 1, 3});
    };
    const Var q = heads_first(in[0], e.query, e.dim), k = heads_first(in[1], e.key, e.dim),
              v = heads_first(in[2], e.key, e.value_dim);
    Var scores = affine(matmul(q, k, {.transpose_b = true}), factor(e.dim));  // [batch, heads, query, key]
    if (in.size() > 3) scores = scores + in[3];
    const Var p = masked_softmax_with(scores, held.mask);
    const Var kept = held.dropout > 0 ? dropout_with(p, held.dropout, held.draw) : p;
    const Var context = matmul(kept, v);  // [batch, heads, query, value_dim]
    const Var merged = layout.packed ? permute(context, {0, 2, 1, 3}) : context;
    VarList results{merged.shape() == e.context() ? merged : reshape(merged, e.context())};
    if (held.weights) results.push_back(p);
    if (held.scores) results.push_back(scores);
    return results;
  }

 private:
  double factor(Index dim) const {
    return scale != 0 || dim == 0 ? scale : 1 / std::sqrt(static_cast<double>(dim));
  }

  static void check_bias(const Shape& bias, const Shape& scores) {
    Shape result;
    expects(broadcast(bias, scores, result) && result == scores,
            "attention: bias of shape {} does not broadcast to [batch, heads, query, key] = {}", bias,
            scores);
  }

  template <class T>
  kernels::AttentionArgs<T> arguments(Views in, Views out) const {
    const AttentionExtents e(layout, in);
    kernels::AttentionArgs<T> args;
    args.batch = e.batch;
    args.heads = e.heads;
    args.query_len = e.query;
    args.key_len = e.key;
    args.head_dim = e.dim;
    args.value_dim = e.value_dim;
    args.query = in[0].data<T>();
    args.key = in[1].data<T>();
    args.value = in[2].data<T>();
    args.out = out[0].data<T>();
    args.query_strides = e.strides(e.query, e.dim);
    args.key_strides = e.strides(e.key, e.dim);
    args.value_strides = e.strides(e.key, e.value_dim);
    args.out_strides = e.strides(e.query, e.value_dim);
    args.scale = static_cast<T>(factor(e.dim));
    held.put(args, e.scores(), out);
    if (in.size() > 3) {
      args.bias = in[3].data<T>();
      args.bias_strides = score_strides(in[3].shape, e.scores());
    }
    return args;
  }
};

}  // namespace

VarList attention_with(const Var& query, const Var& key, const Var& value, Index heads,
                       const HeldAttention& held) {
  Attention op;
  op.layout = {true, heads};
  op.scale = 0;
  op.held = held;
  const Var inputs[] = {query, key, value};
  return apply_all(op, inputs);
}

namespace {

VarList run(const Var& query, const Var& key, const Var& value, const AttentionOptions& options,
            bool weights) {
  Tape& tape = query.tape("attention");
  expects(options.dropout >= 0 && options.dropout <= 1, "attention: dropout must lie in [0, 1], got {}",
          options.dropout);
  expects(options.heads >= 0, "attention: heads must not be negative, got {}", options.heads);
  return tape.attempt([&] {
    Attention op;
    op.layout = {options.heads > 0, options.heads > 0 ? options.heads : 1};
    op.scale = options.scale;
    op.held = {.mask = options.mask.keep_on(tape),
               .dropout = tape.training() ? options.dropout : 0,
               .weights = weights,
               .scores = weights && options.scores};
    if (op.held.dropout > 0) op.held.draw = tape.next_draw();
    VarList inputs{query, key, value};
    if (options.bias) inputs.push_back(options.bias);
    return apply_all(op, {inputs.begin(), inputs.size()});
  });
}

}  // namespace

Var attention(const Var& query, const Var& key, const Var& value, const AttentionOptions& options) {
  return run(query, key, value, options, false)[0];
}

AttentionResult attention_with_weights(const Var& query, const Var& key, const Var& value,
                                       const AttentionOptions& options) {
  const VarList results = run(query, key, value, options, true);
  return {results[0], results[1], options.scores ? results[2] : Var()};
}

namespace {

/// What of weights and scores the loss depends on; gradients inside of the op are there in any case.
enum class Used { all, none, last_query };

struct Case {
  const char* label;
  Index batch, heads, query, key, dim, value_dim;
  AttentionOptions options = {};  // options.heads > 0: packed
  Shape bias = {};                // rank 0: none
  bool weights = false, training = false;
  Used used = Used::all;
};

Tensor random_keep(const Shape& shape) {
  Tensor keep(shape, DType::boolean);
  for (Index i = 0; i < keep.size(); ++i)
    keep.data<std::uint8_t>()[i] = uniform01({31}, static_cast<std::uint64_t>(i)) > 0.4;
  return keep;
}

/// `attention` is the parity suite's: scaled_dot_product_attention, with weights the softmax itself.
std::string torch_call(const Case& c) {
  const AttentionOptions& o = c.options;
  if (c.training && o.dropout > 0) return "none: the draws of dropout are our own";
  std::string call = "attention(a, b, c";
  if (!o.mask.empty()) call += ", keep=keep";
  if (c.bias.rank() > 0) call += ", bias=d";
  if (o.heads > 0) call += fmt::format(", heads={}", o.heads);
  if (o.scale != 0) call += fmt::format(", scale={}", o.scale);
  if (!c.weights || c.used == Used::none) return call + ")";
  if (o.scores) {
    const char* part = c.used == Used::last_query ? "[-1, -1, -1]" : "";
    return fmt::format(
        "(lambda c, w, s: c * (1 + w{}.square().sum() + s{}.sin().sum()))(*{}, "
        "weights=True, scores=True))",
        part, part, call);
  }
  return fmt::format("(lambda context, weights: context * (1 + weights.square().sum()))(*{}, weights=True))",
                     call);
}

/// Of weights or scores, those of the last query of the last head of the last batch.
Var last_query(Var x) {
  for (int axis = 0; axis < 3; ++axis) x = slice(x, axis, x.shape()[axis] - 1, 1);
  return x;
}

Sample make_sample(const Case& c, double scale = 1.5) {
  const auto values = [&](Index time, Index dim, std::uint64_t key) {
    const Shape shape =
        c.options.heads > 0 ? Shape{c.batch, time, c.heads * dim} : Shape{c.batch, c.heads, time, dim};
    return sample_values(shape, -scale, scale, key);
  };
  Sample sample{c.label,
                {values(c.query, c.dim, 41), values(c.key, c.dim, 42), values(c.key, c.value_dim, 43)},
                {},
                torch_call(c)};
  sample.training = c.training;
  if (!c.options.mask.empty())
    sample.constants = {{"keep", c.options.mask.to_tensor(c.batch, c.heads, c.query, c.key)}};
  if (c.bias.rank() > 0) sample.inputs.push_back(sample_values(c.bias, -1, 1, 44));
  sample.call = [options = c.options, weights = c.weights, used = c.used](const std::vector<Var>& in) {
    AttentionOptions with_bias = options;
    if (in.size() > 3) with_bias.bias = in[3];
    if (!weights) return attention(in[0], in[1], in[2], with_bias);
    const AttentionResult r = attention_with_weights(in[0], in[1], in[2], with_bias);
    if (used == Used::none) return r.context;
    const auto part = [used](const Var& x) { return used == Used::all ? x : last_query(x); };
    const Var loss = 1 + sum(square(part(r.weights)));
    return r.context * (r.scores ? loss + sum(sin(part(r.scores))) : loss);
  };
  return sample;
}

const OpSamples attention_samples("attention", [] {
  const Mask causal = Mask::causal(), lengths = Mask::from_lengths(Tensor::ids({2, 4}));
  const Mask keys = Mask::keys(Tensor::of({{1, 0, 1, 1}, {0, 1, 1, 0}}, DType::boolean));
  const Mask dead_row = Mask::keep(Tensor::of({{1, 1, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 0}}, DType::boolean));
  const Mask random = Mask::keep(random_keep({2, 2, 3, 4}));
  std::vector<Sample> samples;
  // clang-format off
  for (const Case& c : std::initializer_list<Case>{
           {"one head", 1, 1, 3, 3, 4, 4},
      {"two heads", 2, 2, 3, 3, 4, 4},
      {"three heads", 2, 3, 2, 2, 2, 2},
      {"four heads, packed", 1, 4, 3, 3, 2, 2, {.heads = 4}},
      {"two heads, packed", 2, 2, 3, 3, 4, 4, {.heads = 2}},
      {"cross", 2, 2, 3, 5, 4, 4},
      {"cross, packed", 2, 2, 5, 2, 3, 3, {.heads = 2}},
      {"causal", 2, 2, 4, 4, 3, 3, {.mask = causal}},
      {"causal, packed", 2, 2, 4, 4, 3, 3, {.mask = causal, .heads = 2}},
      {"causal after cached keys", 1, 2, 2, 4, 3, 3, {.mask = Mask::causal(2)}},
      {"causal, first rows empty", 1, 2, 3, 3, 2, 2, {.mask = Mask::causal(-1)}},
      {"lengths", 2, 2, 3, 4, 3, 3, {.mask = lengths}},
      {"lengths, packed", 2, 2, 3, 4, 3, 3, {.mask = lengths, .heads = 2}},
      {"a length of 0", 2, 1, 2, 4, 2, 2, {.mask = Mask::from_lengths(Tensor::ids({0, 3}))}},
      {"keys", 2, 2, 3, 4, 3, 3, {.mask = keys}},
      {"causal and lengths", 2, 2, 4, 4, 3, 3, {.mask = causal & lengths}},
      {"causal and keys, packed", 2, 2, 4, 4, 3, 3, {.mask = causal & keys, .heads = 2}},
      {"random mask", 2, 2, 3, 4, 3, 3, {.mask = random}},
      {"row without keys", 2, 2, 3, 4, 3, 3, {.mask = dead_row}},
      {"row without keys, weights", 2, 2, 3, 4, 3, 3, {.mask = dead_row, .heads = 2}, {}, true},
      {"bias", 2, 2, 3, 4, 3, 3, {}, {2, 2, 3, 4}},
      {"bias of each head, packed", 2, 2, 3, 4, 3, 3, {.heads = 2}, {2, 1, 4}},
      {"bias of each pair, mask", 2, 2, 3, 4, 3, 3, {.mask = random}, {3, 4}},
      {"bias of each key, row without keys", 2, 1, 3, 4, 3, 3, {.mask = dead_row}, {2, 1, 1, 4}},
      {"weights on the loss path", 2, 2, 3, 4, 3, 3, {}, {}, true},
      {"scores on the loss path", 2, 2, 3, 4, 3, 3, {.mask = keys, .scores = true}, {3, 4}, true},
      {"scores, unused", 2, 2, 3, 4, 3, 2, {.mask = lengths, .scores = true}, {}, true, false, Used::none},
      {"scores and bias, unused", 2, 2, 3, 4, 3, 3, {.mask = dead_row, .scores = true}, {3, 4}, true, false,
       Used::none},
      {"weights, unused", 2, 2, 3, 4, 3, 2, {.mask = causal}, {}, true, false, Used::none},
      {"scores of the last query", 2, 2, 3, 4, 3, 3, {.scores = true}, {}, true, false, Used::last_query},
      {"scores, first rows empty, dropout, unused", 2, 2, 4, 4, 3, 3,
       {.mask = Mask::causal(-1), .dropout = 0.4, .scores = true}, {}, true, true, Used::none},
      {"weights, causal and bias", 1, 2, 3, 3, 2, 2, {.mask = causal}, {2, 3, 3}, true},
      {"scale", 2, 2, 3, 3, 2, 2, {.scale = 0.3}},
      {"dropout", 2, 2, 3, 4, 3, 3, {.dropout = 0.4}, {}, false, true},
      {"dropout, packed", 2, 2, 3, 4, 3, 3, {.mask = random, .dropout = 0.4, .heads = 2}, {}, false, true},
      {"dropout, weights, bias", 2, 2, 3, 4, 3, 3, {.mask = lengths, .dropout = 0.4}, {3, 4}, true, true},
      {"dropout, not training", 1, 1, 3, 3, 2, 2, {.dropout = 0.4}},
      {"all dropped", 1, 1, 3, 3, 2, 2, {.dropout = 1}, {}, true, true},
      {"wide values", 2, 2, 3, 4, 2, 5},
      {"narrow values, packed", 2, 2, 3, 4, 4, 1, {.mask = random, .heads = 2}},
      {"one step", 2, 2, 1, 1, 3, 3, {.mask = causal}},
      {"one query", 1, 2, 1, 5, 3, 3, {.mask = Mask::causal(4)}},
      {"one key", 1, 2, 4, 1, 3, 3},
      {"longer than a vector register", 1, 1, 3, 19, 17, 18, {.mask = Mask::causal(10)}},
      {"no batch", 0, 2, 3, 3, 2, 2, {.heads = 2}},
      {"no queries", 1, 2, 0, 3, 2, 2},
      {"no keys", 1, 2, 3, 0, 2, 2},
      {"no keys, weights", 1, 2, 3, 0, 2, 2, {.mask = causal, .heads = 2}, {}, true},
      {"more keys than one block of 16", 1, 1, 2, 18, 2, 2},
      {"blocks of queries", 1, 2, 29, 3, 1, 1, {.mask = causal}},
      {"blocks of queries, dropout", 1, 2, 29, 3, 1, 1, {.mask = Mask::causal(-14), .dropout = 0.3}, {},
       false, true}})
    samples.push_back(make_sample(c));
  const Mask early_ends = Mask::from_lengths(Tensor::ids({0, 19}));
  for (const Case& c : std::initializer_list<Case>{
      {"queries in lanes", 2, 2, 35, 37, 3, 2, {.heads = 2}},
      {"queries in lanes, lengths", 2, 2, 18, 33, 2, 2, {.mask = early_ends, .heads = 2}},
      {"queries in lanes, first rows empty, dropout", 2, 3, 37, 40, 2, 3,
       {.mask = Mask::causal(-3), .dropout = 0.3, .heads = 3}, {}, false, true},
      {"queries in lanes, causal and lengths, dropout", 2, 2, 23, 23, 17, 18,
       {.mask = causal & early_ends, .dropout = 0.3, .heads = 2}, {}, false, true},
      {"blocks of queries, keys ahead", 1, 2, 60, 61, 2, 3, {.mask = causal}, {61}},
      {"blocks of queries, bias, dropout", 1, 2, 60, 33, 2, 3,
       {.mask = causal & Mask::keep(random_keep({60, 33})), .dropout = 0.3}, {33}, false, true},
      {"wide values, bias", 1, 1, 2, 3, 2, 19, {}, {3}},
      {"blocks of queries, weights, bias", 1, 2, 70, 20, 2, 2, {.mask = Mask::causal(-14)}, {2, 1, 20}, true},
      {"blocks of queries, random mask", 1, 2, 70, 20, 2, 3, {.mask = Mask::keep(random_keep({70, 20}))}},
      {"blocks of queries, scores", 1, 2, 70, 20, 2, 2, {.mask = Mask::causal(-14), .scores = true},
       {2, 1, 20}, true},
      {"blocks of queries, scores, unused", 1, 2, 70, 20, 2, 3, {.mask = causal, .scores = true}, {}, true,
       false, Used::none},
      {"queries in lanes, scores, unused", 2, 2, 35, 37, 3, 2,
       {.mask = early_ends, .dropout = 0.3, .heads = 2, .scores = true}, {}, true, true, Used::none},
      {"long, dropout", 1, 2, 150, 150, 2, 3, {.mask = causal, .dropout = 0.3, .heads = 2}, {}, false, true},
      {"long, lengths, bias", 2, 1, 150, 300, 2, 2, {.mask = Mask::from_lengths(Tensor::ids({170, 300}))},
       {300}}}) {
    samples.push_back(make_sample(c));
    samples.back().differences = false;
  }
  // clang-format on
  samples.push_back(make_sample({"large magnitude", 1, 2, 3, 4, 2, 2, {.mask = Mask::causal(1)}}, 4));
  samples.push_back(make_sample({"small magnitude", 1, 2, 3, 4, 2, 2, {.mask = Mask::causal(1)}}, 0.1));
  // The cotangents of these weights overflow in f32, and yet pass on nothing.
  const Mask nothing = Mask::keep(Tensor({1, 4}, DType::boolean));
  for (const bool bias : {false, true}) {
    const char* label = bias ? "rows without keys, huge values, bias" : "rows without keys, huge values";
    const Case c{label, 1, 2, 3, 4, 2, 8, {.mask = nothing}, bias ? Shape{4} : Shape{}};
    samples.push_back(make_sample(c, 2e38));
    samples.back().torch = "none: huge values give a row without keys NaN in PyTorch's f32, 0 here";
  }
  samples.push_back(make_sample({"weights alone", 2, 2, 3, 4, 2, 2, {.mask = random}, {}, true}));
  samples.back().call = [mask = random](const std::vector<Var>& in) {
    return attention_with_weights(in[0], in[1], in[2], {.mask = mask}).weights + 0 * sum(in[2]);
  };
  samples.back().torch = "attention(a, b, c, keep=keep, weights=True)[1] + 0 * c.sum()";
  // A bias that all keys share moves no weight; the other summand keeps its gradient away from 0.
  samples.push_back(make_sample({"bias of each query", 1, 2, 3, 4, 2, 2, {}, {2, 3, 1}}));
  samples.back().call = [](const std::vector<Var>& in) {
    return attention(in[0], in[1], in[2], {.bias = in[3]}) + sum(in[3]);
  };
  samples.back().torch = "attention(a, b, c, bias=d) + d.sum()";
  const auto add_self = [&](const char* label, const Tensor& x) {
    const Index time = x.shape()[-2];
    samples.push_back(
        {label,
         {x},
         [=](const std::vector<Var>& in) { return attention(in[0], in[0], in[0], {.mask = causal}); },
         "attention(a, a, a, keep=keep)",
         {{"keep", causal.to_tensor(1, 1, time, time).reshaped({time, time})}}});
  };
  add_self("repeated input, no batch", sample_values({4, 3}, -1, 1, 45));
  add_self("repeated input, no heads", sample_values({2, 3, 2}, -1, 1, 46));
  for (const char* call : {"attention(b, a, a)", "attention(a, b, a)", "attention(a, a, b)"}) {
    const auto at = [call](std::size_t i) { return call[10 + 3 * i] == 'b' ? 1U : 0U; };
    const auto run = [=](auto& in) { return attention(in[at(0)], in[at(1)], in[at(2)]); };
    samples.push_back({call, {sample_values({4, 3}), sample_values({4, 3}, -2, 2, 2)}, run, call});
  }
  samples.push_back({"packed without batch",
                     {sample_values({3, 4}, -1, 1, 47)},
                     [](const std::vector<Var>& in) { return attention(in[0], in[0], in[0], {.heads = 2}); },
                     "attention(a, a, a, heads=2)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
