#include "attention.h"

#include <cmath>

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

}  // namespace tapegrad
