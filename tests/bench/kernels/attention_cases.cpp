// Fused attention of one sentence at eight heads of 64 (those of L), by length.
#include <fmt/format.h>

#include <tapegrad/autograd/kernels/attention/attention.h>

#include "tests/bench/kernels/report.h"

namespace tapegrad::bench {
namespace {

constexpr std::int64_t heads = 8, dim = 64, width = heads * dim;

/// Queries, keys and values packed as a projection leaves them, [time, 3 · width], and their gradients.
struct Sentence {
  Sentence(std::int64_t time, bool causal, double dropout)
      : qkv(values(time * 3 * width)),
        dout(values(time * width)),
        out(dout.size()),
        dqkv(qkv.size()),
        row_max(static_cast<std::size_t>(heads * time)),
        row_sum(row_max.size()) {
    args.batch = 1;
    args.heads = heads;
    args.query_len = args.key_len = time;
    args.head_dim = args.value_dim = dim;
    args.query = qkv.data();
    args.key = qkv.data() + width;
    args.value = qkv.data() + 2 * width;
    args.out = out.data();
    args.query_strides = args.key_strides = args.value_strides = {0, dim, 3 * width};
    args.out_strides = {0, dim, width};
    args.scale = 0.125f;
    args.causal = causal;
    args.dropout = dropout;
    args.row_max = row_max.data();
    args.row_inverse_sum = row_sum.data();
    grads.dout = dout.data();
    grads.add_to_query = grads.add_to_key = grads.add_to_value = false;  // as in a step, and in PyTorch
    grads.dout_strides = args.out_strides;
    grads.dquery = dqkv.data();
    grads.dkey = dqkv.data() + width;
    grads.dvalue = dqkv.data() + 2 * width;
    grads.dquery_strides = grads.dkey_strides = grads.dvalue_strides = args.query_strides;
  }

  std::vector<float> qkv, dout, out, dqkv, row_max, row_sum;
  kernels::AttentionArgs<float> args;
  kernels::AttentionGradients<float> grads;
};

}  // namespace

void bench_attention(Report& report, const AttentionLengths& lengths) {
  for (const bool causal : {true, false})
    for (const double dropout : {0.0, 0.1})
      for (std::int64_t time = lengths.shortest; time <= lengths.longest; time *= 2) {
        if (!causal && lengths.only_causal) continue;
        Sentence s(time, causal, dropout);
        const std::string name =
            fmt::format("T {}, {}, dropout {}", time, causal ? "causal" : "full", dropout);
        const double forward = report.best_seconds([&] { kernels::attention_forward(s.args); });
        const double both = report.best_seconds([&] {
          kernels::attention_forward(s.args);
          kernels::attention_backward(s.args, s.grads);
        });
        report.add({"attention forward", "µs", name, "tapegrad", 1e6 * forward});
        report.add({"attention forward and backward", "µs", name, "tapegrad", 1e6 * both});
      }
}

}  // namespace tapegrad::bench
