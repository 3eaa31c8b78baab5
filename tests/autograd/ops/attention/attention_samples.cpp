#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
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
    samples.back().reference = "none: huge values give a row without keys NaN in PyTorch's f32, 0 here";
  }
  samples.push_back(make_sample({"weights alone", 2, 2, 3, 4, 2, 2, {.mask = random}, {}, true}));
  samples.back().call = [mask = random](const std::vector<Var>& in) {
    return attention_with_weights(in[0], in[1], in[2], {.mask = mask}).weights + 0 * sum(in[2]);
  };
  samples.back().reference = "attention(a, b, c, keep=keep, weights=True)[1] + 0 * c.sum()";
  // A bias that all keys share moves no weight; the other summand keeps its gradient away from 0.
  samples.push_back(make_sample({"bias of each query", 1, 2, 3, 4, 2, 2, {}, {2, 3, 1}}));
  samples.back().call = [](const std::vector<Var>& in) {
    return attention(in[0], in[1], in[2], {.bias = in[3]}) + sum(in[3]);
  };
  samples.back().reference = "attention(a, b, c, bias=d) + d.sum()";
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
