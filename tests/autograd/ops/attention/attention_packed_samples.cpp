#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

struct Case {
  const char* label;
  Shape query, kv;  // kv of rank 0: `query` is all three
  PackedAttentionOptions options;
  bool training = false;
  bool unused = false;  // weights and scores: the loss is of the context alone
};

Sample make_sample(const Case& c, double scale = 1.5) {
  const bool all = c.kv.rank() == 0;
  const Index width = all ? c.query[-1] / 3 : c.query[-1];
  Sample sample{c.label, {sample_values(c.query, -scale, scale, 51)}, {}};
  if (!all) sample.inputs.push_back(sample_values(c.kv, -scale, scale, 52));
  const bool used = c.options.weights && !c.unused;
  sample.call = [=, options = c.options](const std::vector<Var>& in) {
    const AttentionResult r =
        all ? attention_packed(in[0], options) : attention_packed(in[0], in[1], options);
    if (!used) return r.context;
    const Var loss = 1 + sum(square(r.weights));
    return r.context * (options.scores ? loss + sum(sin(r.scores)) : loss);
  };
  sample.training = c.training;
  const auto part = [&](const char* of, Index i) {
    return fmt::format("{}[..., {}:{}]", of, i * width, (i + 1) * width);
  };
  const std::string call = all ? fmt::format("{}, {}, {}", part("a", 0), part("a", 1), part("a", 2))
                               : fmt::format("a, {}, {}", part("b", 0), part("b", 1));
  const char* keep = c.options.mask.empty() ? "" : ", keep=keep";
  sample.reference = fmt::format("attention({}{}, heads={}", call, keep, c.options.heads);
  if (used && c.options.scores)
    sample.reference = fmt::format(
        "(lambda c, w, s: c * (1 + w.square().sum() + s.sin().sum()))(*{}, weights=True, scores=True))",
        sample.reference);
  else if (used)
    sample.reference = fmt::format(
        "(lambda context, weights: context * (1 + weights.square().sum()))(*{}, "
        "weights=True))",
        sample.reference);
  else
    sample.reference += ")";
  if (c.training) sample.reference = "none: the draws of dropout are our own";
  if (!c.options.mask.empty()) {
    const Shape& keys = all ? c.query : c.kv;
    sample.constants = {{"keep", c.options.mask.to_tensor(c.query.rank() == 3 ? c.query[0] : 1,
                                                          c.options.heads, c.query[-2], keys[-2])}};
  }
  return sample;
}

const OpSamples attention_packed_samples("attention_packed", [] {
  const Mask causal = Mask::causal(), lengths = Mask::from_lengths(Tensor::ids({2, 4}));
  const Mask early_ends = Mask::from_lengths(Tensor::ids({0, 19}));
  const Mask keys = Mask::keys(Tensor::of({{1, 0, 1, 1}, {0, 1, 1, 0}}, DType::boolean));
  std::vector<Sample> samples;
  for (const Case& c : std::initializer_list<Case>{
           {"one head", {1, 3, 6}, {}, {}},
           {"two heads, causal", {2, 4, 12}, {}, {.heads = 2, .mask = causal}},
           {"a memory", {2, 3, 4}, {2, 4, 8}, {.heads = 2}},
           {"a memory, lengths", {2, 3, 4}, {2, 4, 8}, {.heads = 2, .mask = lengths}},
           {"a memory, keys", {2, 3, 4}, {2, 4, 8}, {.heads = 4, .mask = keys}},
           {"no batch", {3, 12}, {}, {.heads = 2}},
           {"a memory, no batch", {3, 4}, {2, 8}, {.heads = 2}},
           {"weights", {2, 4, 6}, {}, {.heads = 2, .mask = causal & lengths, .weights = true}},
           {"weights, a memory", {2, 3, 4}, {2, 4, 8}, {.heads = 2, .mask = lengths, .weights = true}},
           {"scores", {2, 4, 6}, {}, {.heads = 2, .mask = causal, .weights = true, .scores = true}},
           {"scores, unused",
            {2, 4, 6},
            {},
            {.heads = 2, .mask = causal, .weights = true, .scores = true},
            false,
            true},
           {"scores alone, a memory", {2, 3, 4}, {2, 4, 8}, {.heads = 2, .mask = lengths, .scores = true}},
           {"dropout", {2, 4, 12}, {}, {.heads = 2, .mask = lengths, .dropout = 0.4}, true},
           {"dropout, not training", {1, 3, 6}, {}, {.dropout = 0.4}},
           {"size-1 dimensions", {1, 1, 3}, {}, {.mask = causal}},
           {"no examples", {0, 3, 6}, {}, {.heads = 2}},
           {"no queries", {1, 0, 2}, {1, 3, 4}, {}},
           {"no keys", {1, 2, 2}, {1, 0, 4}, {}}})
    samples.push_back(make_sample(c));
  for (const Case& c : std::initializer_list<Case>{
           {"queries in lanes", {2, 18, 18}, {}, {.heads = 2, .mask = causal}},
           {"queries in lanes, a memory", {2, 10, 4}, {2, 33, 8}, {.heads = 2, .mask = early_ends}},
           {"queries in lanes, scores alone", {2, 18, 18}, {}, {.heads = 2, .mask = causal, .scores = true}},
           {"blocks of queries, weights, unused",
            {1, 70, 12},
            {},
            {.heads = 2, .mask = causal, .weights = true},
            false,
            true},
           {"blocks of queries", {1, 70, 6}, {}, {.heads = 1, .mask = causal}}}) {
    samples.push_back(make_sample(c));
    samples.back().differences = false;
  }
  samples.push_back(make_sample({"large magnitude", {1, 3, 6}, {}, {.mask = causal}}, 4));
  samples.push_back(make_sample({"small magnitude", {1, 3, 6}, {}, {.mask = causal}}, 0.1));
  samples.push_back(
      {"repeated input",
       {sample_values({1, 3, 6}, -1, 1, 53)},
       [](const std::vector<Var>& in) { return attention_packed(slice(in[0], -1, 0, 3), in[0], {}).context; },
       "attention(a[..., :3], a[..., :3], a[..., 3:], heads=1)"});
  return samples;
});

}  // namespace
}  // namespace tapegrad
