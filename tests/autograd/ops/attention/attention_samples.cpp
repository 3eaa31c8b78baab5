#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

namespace tapegrad {
namespace {

/// The part of weights and scores on which the loss depends; gradients inside of the op are there in any
/// case.
enum class Used { all, none, last_query };

struct Case {
  const char* label;
  Index batch, heads, query, key, dim, value_dim;
  AttentionOptions options = {};  // with PackedHeads: side by side
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
  if (const auto* packed = std::get_if<PackedHeads>(&o.layout))
    call += fmt::format(", heads={}", packed->heads);
  if (o.scale) call += fmt::format(", scale={}", *o.scale);
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
    const Shape shape = std::holds_alternative<PackedHeads>(c.options.layout)
                            ? Shape{c.batch, time, c.heads * dim}
                            : Shape{c.batch, c.heads, time, dim};
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

struct PackedCase {
  const char* label;
  Shape query, kv;  // kv of rank 0: `query` is all three
  Index heads = 1;
  AttentionOptions options = {};
  bool weights = false;
  bool training = false;
  bool unused = false;  // weights and scores: the loss is of the context alone
};

Sample make_packed_sample(const PackedCase& c, double scale = 1.5) {
  const bool all = c.kv.rank() == 0;
  const Index width = all ? c.query[-1] / 3 : c.query[-1];
  Sample sample{
      fmt::format("attention_packed: {}", c.label), {sample_values(c.query, -scale, scale, 51)}, {}};
  if (!all) sample.inputs.push_back(sample_values(c.kv, -scale, scale, 52));
  const bool used = c.weights && !c.unused;
  AttentionOptions options = c.options;
  options.layout = PackedHeads{c.heads};
  sample.call = [=, weights = c.weights](const std::vector<Var>& in) {
    const ColumnView q = columns(in[0], 0, width), k = columns(in.back(), all ? width : 0, width),
                     v = columns(in.back(), all ? 2 * width : width, width);
    if (!weights) return attention(q, k, v, options);
    const AttentionResult r = attention_with_weights(q, k, v, options);
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
  sample.reference = fmt::format("attention({}{}, heads={}", call, keep, c.heads);
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
    sample.constants = {{"keep", c.options.mask.to_tensor(c.query.rank() == 3 ? c.query[0] : 1, c.heads,
                                                          c.query[-2], keys[-2])}};
  }
  return sample;
}

/// Of heads that one product made side by side. Their labels name the cases of the parity suite whole.
std::vector<Sample> packed_samples() {
  const Mask causal = Mask::causal(), lengths = Mask::from_lengths(Tensor::ids({2, 4}));
  const Mask early_ends = Mask::from_lengths(Tensor::ids({0, 19}));
  const Mask keys = Mask::keys(Tensor::of({{1, 0, 1, 1}, {0, 1, 1, 0}}, DType::boolean));
  std::vector<Sample> samples;
  for (const PackedCase& c : std::initializer_list<PackedCase>{
           {"one head", {1, 3, 6}, {}, 1, {}},
           {"two heads, causal", {2, 4, 12}, {}, 2, {.mask = causal}},
           {"a memory", {2, 3, 4}, {2, 4, 8}, 2, {}},
           {"a memory, lengths", {2, 3, 4}, {2, 4, 8}, 2, {.mask = lengths}},
           {"a memory, keys", {2, 3, 4}, {2, 4, 8}, 4, {.mask = keys}},
           {"no batch", {3, 12}, {}, 2, {}},
           {"a memory, no batch", {3, 4}, {2, 8}, 2, {}},
           {"weights", {2, 4, 6}, {}, 2, {.mask = causal & lengths}, true},
           {"weights, a memory", {2, 3, 4}, {2, 4, 8}, 2, {.mask = lengths}, true},
           {"scores", {2, 4, 6}, {}, 2, {.mask = causal, .scores = true}, true},
           {"scores, unused", {2, 4, 6}, {}, 2, {.mask = causal, .scores = true}, true, false, true},
           {"scores alone, a memory",
            {2, 3, 4},
            {2, 4, 8},
            2,
            {.mask = lengths, .scores = true},
            true,
            false,
            true},
           {"dropout", {2, 4, 12}, {}, 2, {.mask = lengths, .dropout = 0.4}, false, true},
           {"dropout, not training", {1, 3, 6}, {}, 1, {.dropout = 0.4}},
           {"size-1 dimensions", {1, 1, 3}, {}, 1, {.mask = causal}},
           {"no examples", {0, 3, 6}, {}, 2, {}},
           {"no queries", {1, 0, 2}, {1, 3, 4}, 1, {}},
           {"no keys", {1, 2, 2}, {1, 0, 4}, 1, {}}})
    samples.push_back(make_packed_sample(c));
  for (const PackedCase& c : std::initializer_list<PackedCase>{
           {"queries in lanes", {2, 18, 18}, {}, 2, {.mask = causal}},
           {"queries in lanes, a memory", {2, 10, 4}, {2, 33, 8}, 2, {.mask = early_ends}},
           {"queries in lanes, scores alone",
            {2, 18, 18},
            {},
            2,
            {.mask = causal, .scores = true},
            true,
            false,
            true},
           {"blocks of queries, weights, unused", {1, 70, 12}, {}, 2, {.mask = causal}, true, false, true},
           {"blocks of queries", {1, 70, 6}, {}, 1, {.mask = causal}}}) {
    samples.push_back(make_packed_sample(c));
    samples.back().differences = false;
  }
  samples.push_back(make_packed_sample({"large magnitude", {1, 3, 6}, {}, 1, {.mask = causal}}, 4));
  samples.push_back(make_packed_sample({"small magnitude", {1, 3, 6}, {}, 1, {.mask = causal}}, 0.1));
  samples.push_back({"attention_packed: repeated input",
                     {sample_values({1, 3, 6}, -1, 1, 53)},
                     [](const std::vector<Var>& in) {
                       return attention(columns(in[0], 0, 3), columns(in[0], 0, 3), columns(in[0], 3, 3),
                                        {.layout = PackedHeads{1}});
                     },
                     "attention(a[..., :3], a[..., :3], a[..., 3:], heads=1)"});
  return samples;
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
      {"four heads, packed", 1, 4, 3, 3, 2, 2, {.layout = PackedHeads{4}}},
      {"two heads, packed", 2, 2, 3, 3, 4, 4, {.layout = PackedHeads{2}}},
      {"cross", 2, 2, 3, 5, 4, 4},
      {"cross, packed", 2, 2, 5, 2, 3, 3, {.layout = PackedHeads{2}}},
      {"causal", 2, 2, 4, 4, 3, 3, {.mask = causal}},
      {"causal, packed", 2, 2, 4, 4, 3, 3, {.mask = causal, .layout = PackedHeads{2}}},
      {"causal after cached keys", 1, 2, 2, 4, 3, 3, {.mask = Mask::causal(2)}},
      {"causal, first rows empty", 1, 2, 3, 3, 2, 2, {.mask = Mask::causal(-1)}},
      {"lengths", 2, 2, 3, 4, 3, 3, {.mask = lengths}},
      {"lengths, packed", 2, 2, 3, 4, 3, 3, {.mask = lengths, .layout = PackedHeads{2}}},
      {"a length of 0", 2, 1, 2, 4, 2, 2, {.mask = Mask::from_lengths(Tensor::ids({0, 3}))}},
      {"keys", 2, 2, 3, 4, 3, 3, {.mask = keys}},
      {"causal and lengths", 2, 2, 4, 4, 3, 3, {.mask = causal & lengths}},
      {"causal and keys, packed", 2, 2, 4, 4, 3, 3, {.mask = causal & keys, .layout = PackedHeads{2}}},
      {"random mask", 2, 2, 3, 4, 3, 3, {.mask = random}},
      {"row without keys", 2, 2, 3, 4, 3, 3, {.mask = dead_row}},
      {"row without keys, weights", 2, 2, 3, 4, 3, 3, {.mask = dead_row, .layout = PackedHeads{2}}, {}, true},
      {"bias", 2, 2, 3, 4, 3, 3, {}, {2, 2, 3, 4}},
      {"bias of each head, packed", 2, 2, 3, 4, 3, 3, {.layout = PackedHeads{2}}, {2, 1, 4}},
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
      {"dropout, packed", 2, 2, 3, 4, 3, 3,
       {.mask = random, .dropout = 0.4, .layout = PackedHeads{2}}, {}, false, true},
      {"dropout, weights, bias", 2, 2, 3, 4, 3, 3, {.mask = lengths, .dropout = 0.4}, {3, 4}, true, true},
      {"dropout, not training", 1, 1, 3, 3, 2, 2, {.dropout = 0.4}},
      {"all dropped", 1, 1, 3, 3, 2, 2, {.dropout = 1}, {}, true, true},
      {"wide values", 2, 2, 3, 4, 2, 5},
      {"narrow values, packed", 2, 2, 3, 4, 4, 1, {.mask = random, .layout = PackedHeads{2}}},
      {"one step", 2, 2, 1, 1, 3, 3, {.mask = causal}},
      {"one query", 1, 2, 1, 5, 3, 3, {.mask = Mask::causal(4)}},
      {"one key", 1, 2, 4, 1, 3, 3},
      {"longer than a vector register", 1, 1, 3, 19, 17, 18, {.mask = Mask::causal(10)}},
      {"no batch", 0, 2, 3, 3, 2, 2, {.layout = PackedHeads{2}}},
      {"no queries", 1, 2, 0, 3, 2, 2},
      {"no keys", 1, 2, 3, 0, 2, 2},
      {"no keys, weights", 1, 2, 3, 0, 2, 2, {.mask = causal, .layout = PackedHeads{2}}, {}, true},
      {"more keys than one block of 16", 1, 1, 2, 18, 2, 2},
      {"blocks of queries", 1, 2, 29, 3, 1, 1, {.mask = causal}},
      {"blocks of queries, dropout", 1, 2, 29, 3, 1, 1, {.mask = Mask::causal(-14), .dropout = 0.3}, {},
       false, true}})
    samples.push_back(make_sample(c));
  const Mask early_ends = Mask::from_lengths(Tensor::ids({0, 19}));
  for (const Case& c : std::initializer_list<Case>{
      {"queries in lanes", 2, 2, 35, 37, 3, 2, {.layout = PackedHeads{2}}},
      {"queries in lanes, lengths", 2, 2, 18, 33, 2, 2, {.mask = early_ends, .layout = PackedHeads{2}}},
      {"queries in lanes, first rows empty, dropout", 2, 3, 37, 40, 2, 3,
       {.mask = Mask::causal(-3), .dropout = 0.3, .layout = PackedHeads{3}}, {}, false, true},
      {"queries in lanes, causal and lengths, dropout", 2, 2, 23, 23, 17, 18,
       {.mask = causal & early_ends, .dropout = 0.3, .layout = PackedHeads{2}}, {}, false, true},
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
       {.mask = early_ends, .dropout = 0.3, .layout = PackedHeads{2}, .scores = true}, {}, true, true,
       Used::none},
      {"long, dropout", 1, 2, 150, 150, 2, 3,
       {.mask = causal, .dropout = 0.3, .layout = PackedHeads{2}}, {}, false, true},
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
  samples.push_back(
      {"packed without batch",
       {sample_values({3, 4}, -1, 1, 47)},
       [](const std::vector<Var>& in) { return attention(in[0], in[0], in[0], {.layout = PackedHeads{2}}); },
       "attention(a, a, a, heads=2)"});
  for (Sample& sample : packed_samples()) samples.push_back(std::move(sample));
  return samples;
});

}  // namespace
}  // namespace tapegrad
