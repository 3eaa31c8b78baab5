#include "attention_packed.h"

#include <cmath>

#include "../arithmetic.h"
#include "../elementwise.h"
#include "../reduce.h"
#include "../slice.h"
#include "attention_state.h"

namespace tapegrad {
namespace {

/// Inputs: query | key | value, or query and then key | value.
struct AttentionPacked final : Fused {
  static constexpr bool composite = true;
  Index heads;
  HeldAttention held;
  explicit AttentionPacked(Index head_count, const HeldAttention& attention)
      : heads(head_count), held(attention) {}
  const char* name() const override { return "attention_packed"; }
  Formula formula() const override {
    return "c = attention(q, k, v) of q | k | v side by side;  dq | dk | dv side by side";
  }
  void attributes(Attributes& list) const override {
    list.emplace_back("heads", static_cast<double>(heads));
    held.attributes(list);
  }
  int outputs() const override { return held.outputs(); }
  int saved() const override { return 2; }  // maximum and 1 / sum of each row of scores
  bool completes(int output) const override { return held.completes(output); }

  Shape shape(Views in, int output) const override {
    const bool all = in.size() == 1;
    const Shape &q = in[0].shape, &kv = in[in.size() - 1].shape;
    const bool ranks = (q.rank() == 2 || q.rank() == 3) && kv.rank() == q.rank();
    if (all)
      expects(ranks && q[-1] % (3 * heads) == 0,
              "attention_packed: qkv {} with {} heads: it must be [batch, time, 3 * heads * dim], or without "
              "batch",
              q, heads);
    else
      expects(ranks && kv[-1] == 2 * q[-1] && q[-1] % heads == 0 && (q.rank() == 2 || q[0] == kv[0]),
              "attention_packed: query {} and kv {} with {} heads: they must be [batch, query, heads * dim] "
              "and [batch, key, 2 * heads * dim], or both without batch",
              q, kv, heads);
    const Shape scores{q.rank() == 3 ? q[0] : 1, heads, q[-2], kv[-2]};
    if (output == 0) {
      held.mask.check("attention", scores);
      return q.with_tail(1, {all ? q[-1] / 3 : q[-1]});
    }
    return output < outputs() ? scores : Shape{scores[0], heads, q[-2]};
  }

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype,
             [&](auto zero) { kernels::attention_forward(arguments<decltype(zero)>(in, out)); });
  }

  double flops(Views in, Views out) const override {
    return 4 * static_cast<double>(out[0].size()) * static_cast<double>(in[in.size() - 1].shape[-2]);
  }
  Range overwrites(std::size_t, Views, Views) const override { return everything; }
  void backward(const BackwardArgs& b) const override {
    dispatch(b.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto args = arguments<T>(b.inputs, b.outputs);
      const Index width = b.outputs[0].shape[-1];
      const std::size_t last = b.inputs.size() - 1;
      kernels::AttentionGradients<T> grads;
      grads.dout = b.doutputs[0].data<T>();
      grads.dout_strides = args.out_strides;
      held.put(grads, b.doutputs);
      grads.dquery = b.dinputs[0].data<T>();
      if (T* dkv = b.dinputs[last].data<T>()) {
        grads.dkey = dkv + (last == 0 ? width : 0);
        grads.dvalue = grads.dkey + width;
      }
      grads.add_to_query = !b.fresh[0];
      grads.add_to_key = grads.add_to_value = !b.fresh[last];
      grads.dquery_strides = args.query_strides;
      grads.dkey_strides = args.key_strides;
      grads.dvalue_strides = args.value_strides;
      kernels::attention_backward(args, grads);
    });
  }

  VarList define(std::span<const Var> in) const override {
    const Var& last = in[in.size() - 1];
    const Index before = in.size() == 1 ? 1 : 0, width = last.shape()[-1] / (2 + before);
    return attention_with(before > 0 ? slice(in[0], -1, 0, width) : in[0],
                          slice(last, -1, before * width, width),
                          slice(last, -1, (before + 1) * width, width), heads, held);
  }

 private:
  /// Of an operand of which `packed` lie side by side.
  kernels::HeadStrides strides(const Shape& x, Index packed) const {
    return {x[-2] * x[-1], x[-1] / packed / heads, x[-1]};
  }

  template <class T>
  kernels::AttentionArgs<T> arguments(Views in, Views out) const {
    const bool all = in.size() == 1;
    const Shape &q = in[0].shape, &kv = in[in.size() - 1].shape;
    const Index width = out[0].shape[-1];
    kernels::AttentionArgs<T> args;
    args.batch = q.rank() == 3 ? q[0] : 1;
    args.heads = heads;
    args.query_len = q[-2];
    args.key_len = kv[-2];
    args.head_dim = args.value_dim = width / heads;
    args.query = in[0].data<T>();
    args.key = in[in.size() - 1].data<T>() + (all ? width : 0);
    args.value = args.key + width;
    args.out = out[0].data<T>();
    args.query_strides = strides(q, all ? 3 : 1);
    args.key_strides = args.value_strides = strides(kv, all ? 3 : 2);
    args.out_strides = strides(out[0].shape, 1);
    args.scale = args.head_dim == 0 ? 0 : static_cast<T>(1 / std::sqrt(static_cast<double>(args.head_dim)));
    held.put(args, {args.batch, heads, q[-2], kv[-2]}, out);
    return args;
  }
};

AttentionResult run(std::span<const Var> inputs, const PackedAttentionOptions& o) {
  Tape& tape = inputs[0].tape("attention_packed");
  expects(o.dropout >= 0 && o.dropout <= 1, "attention_packed: dropout must lie in [0, 1], got {}",
          o.dropout);
  expects(o.heads > 0, "attention_packed: heads must be positive, got {}", o.heads);
  return tape.attempt([&] {
    HeldAttention held{.mask = o.mask.keep_on(tape),
                       .dropout = tape.training() ? o.dropout : 0,
                       .weights = o.weights,
                       .scores = o.scores};
    if (held.dropout > 0) held.draw = tape.next_draw();
    const VarList results = apply_all(AttentionPacked(o.heads, held), inputs);
    return AttentionResult{results[0], o.weights ? results[1] : Var(),
                           o.scores ? results[results.size() - 1] : Var()};
  });
}

}  // namespace

AttentionResult attention_packed(const Var& qkv, const PackedAttentionOptions& options) {
  const Var inputs[] = {qkv};
  return run(inputs, options);
}

AttentionResult attention_packed(const Var& query, const Var& kv, const PackedAttentionOptions& options) {
  const Var inputs[] = {query, kv};
  return run(inputs, options);
}

}  // namespace tapegrad
