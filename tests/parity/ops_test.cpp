// Every case of ops.safetensors: value and gradients of single operations.
#include <tapegrad/autograd/ops.h>

#include <tests/parity/golden.h>
#include <functional>
#include <map>
#include <set>

namespace tapegrad {
namespace {

using test::Comparison;
using test::Golden;
using test::Way;

/// The tensors of one case, on a tape.
class Inputs {
 public:
  Inputs(Tape& tape, const Golden& golden, std::string name)
      : tape_(tape), golden_(golden), prefix_(std::move(name) + ".") {}

  const Var& operator()(const std::string& input) {
    Var& x = variables_[input];
    if (!x) x = tape_.variable(golden_.at(prefix_ + input).to(tape_.dtype()));
    return x;
  }
  /// Indices and masks.
  const Tensor& data(const std::string& input) const { return golden_.at(prefix_ + input); }

 private:
  Tape& tape_;
  const Golden& golden_;
  std::string prefix_;
  std::map<std::string, Var> variables_;
};

using Run = std::function<Var(Inputs&)>;
using Table = std::map<std::string, Run>;

Run unary(Var (*f)(const Var&)) {
  return [=](Inputs& in) { return f(in("x")); };
}
Run binary(Var (*f)(const Var&, const Var&)) {
  return [=](Inputs& in) { return f(in("a"), in("b")); };
}
Run product(const MatmulOptions& options = {}) {
  return [=](Inputs& in) { return matmul(in("a"), in("b"), options); };
}
Run entropy(const CrossEntropyOptions& options) {
  return [=](Inputs& in) { return cross_entropy(in("logits"), in.data("target"), options); };
}
Run normed(double eps) {
  return [=](Inputs& in) { return layer_norm(in("x"), in("weight"), in("bias"), eps); };
}
Run along(Var (*f)(const Var&, int), int axis) {
  return [=](Inputs& in) { return f(in("x"), axis); };
}
Run attend(std::function<AttentionOptions(Inputs&)> options) {
  return [=](Inputs& in) { return attention(in("query"), in("key"), in("value"), options(in)); };
}

void add_layers(Table& t) {
  t["linear"] = t["linear_batch"] = [](Inputs& in) { return linear(in("x"), in("weight"), in("bias")); };
  t["linear_no_bias"] = [](Inputs& in) { return linear(in("x"), in("weight")); };
  t["layer_norm"] = t["layer_norm_small"] = normed(1e-5);
  t["layer_norm_eps"] = normed(0.1);
  t["layer_norm_plain"] = [](Inputs& in) { return layer_norm(in("x")); };
  t["rms_norm"] = [](Inputs& in) { return rms_norm(in("x"), in("weight"), 1e-6); };
  t["embedding"] = [](Inputs& in) { return embedding(in("weight"), in.data("ids")); };
  t["embedding_padding"] = [](Inputs& in) { return embedding(in("weight"), in.data("ids"), 0); };
}

void add_elementwise(Table& t) {
  t["gelu"] = [](Inputs& in) { return gelu(in("x")); };
  t["gelu_tanh"] = [](Inputs& in) { return gelu(in("x"), Gelu::tanh); };
  t["relu"] = unary(relu);
  t["tanh"] = unary(tanh);
  t["sigmoid"] = unary(sigmoid);
  t["silu"] = unary(silu);
  t["softplus"] = unary(softplus);
  t["add"] = binary(add);
  t["sub"] = binary(sub);
  t["mul"] = t["mul_same"] = binary(mul);
  t["div"] = binary(div);
}

void add_softmax(Table& t) {
  const auto lse = [](const Var& x, int axis) { return logsumexp(x, axis); };
  for (const auto& [suffix, axis] : {std::pair{"", -1}, std::pair{"_dim1", 1}, std::pair{"_large", -1}}) {
    t[std::string("softmax") + suffix] = along(softmax, axis);
    t[std::string("log_softmax") + suffix] = along(log_softmax, axis);
    t[std::string("logsumexp") + suffix] = along(lse, axis);
  }
}

void add_cross_entropy(Table& t) {
  for (const auto& [name, reduction] :
       {std::pair{"mean", Reduction::mean}, std::pair{"sum", Reduction::sum}}) {
    const std::string head = "cross_entropy_", tail = name;
    t[head + tail] = entropy({.reduction = reduction});
    t[head + "ignore_" + tail] = entropy({.ignore_index = 0, .reduction = reduction});
    t[head + "smooth_" + tail] = entropy({.label_smoothing = 0.1, .reduction = reduction});
    t[head + "ignore_smooth_" + tail] =
        entropy({.ignore_index = 0, .label_smoothing = 0.1, .reduction = reduction});
  }
  t["cross_entropy_none"] =
      entropy({.ignore_index = 0, .label_smoothing = 0.1, .reduction = Reduction::none});
  t["cross_entropy_large"] = entropy({});
}

void add_attention(Table& t) {
  const auto keep = [](Inputs& in) { return Mask::keep(in.data("keep")); };
  t["attention"] = attend([](Inputs&) { return AttentionOptions{}; });
  t["attention_scale"] = attend([](Inputs&) { return AttentionOptions{.scale = 0.3}; });
  t["attention_causal"] = attend([](Inputs&) { return AttentionOptions{.mask = Mask::causal()}; });
  t["attention_mask"] = t["attention_causal_padding"] = t["attention_masked_row"] =
      attend([=](Inputs& in) { return AttentionOptions{.mask = keep(in)}; });
  t["attention_bias"] = t["attention_bias_broadcast"] =
      attend([](Inputs& in) { return AttentionOptions{.bias = in("bias")}; });
  t["attention_bias_mask"] =
      attend([=](Inputs& in) { return AttentionOptions{.mask = keep(in), .bias = in("bias")}; });
}

void add_matmul_and_reductions(Table& t) {
  t["matmul"] = t["matmul_batch"] = t["matmul_broadcast"] = t["matmul_right_2d"] = product();
  t["matmul_transposed"] = product({.transpose_b = true});
  t["mean"] = unary(mean);
  t["max_all"] = unary(max);
  t["sum_dim1"] = [](Inputs& in) { return sum(in("x"), 1); };
  t["mean_dim1_keep"] = [](Inputs& in) { return mean(in("x"), 1, true); };
  t["mean_dims02"] = [](Inputs& in) { return mean(in("x"), {0, 2}); };
  t["var_biased"] = [](Inputs& in) { return var(in("x"), -1); };
  t["var_unbiased"] = [](Inputs& in) { return var(in("x"), -1, false, true); };
  t["max_dim1"] = t["max_ties"] = [](Inputs& in) { return max(in("x"), 1); };
  t["min_dim2"] = [](Inputs& in) { return min(in("x"), 2); };
}

Table table() {
  Table t;
  for (const auto add : {add_layers, add_elementwise, add_softmax, add_cross_entropy, add_attention,
                         add_matmul_and_reductions})
    add(t);
  return t;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parity_ops)

BOOST_AUTO_TEST_CASE(every_golden_case_has_a_test) {
  std::set<std::string> cases, tested;
  for (const std::string& name : Golden("ops").under("")) cases.insert(name.substr(0, name.find('.')));
  for (const auto& [name, run] : table()) tested.insert(name);
  BOOST_TEST(cases == tested, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(values_and_gradients) {
  const Golden golden("ops");
  for (const Way& way : test::ways) {
    Comparison comparison(fmt::format("ops, {}", way.name), way.limit());
    for (const auto& [name, run] : table()) {
      Tape tape(way.tape());
      Inputs inputs(tape, golden, name);
      const Var y = run(inputs);
      const Gradients g = tape.backward(
          y, {.create_graph = way.create_graph, .cotangent = golden.at(name + ".dy").to(way.dtype)});
      comparison.check(name + ".y", y.value(), golden.at(name + ".y"));
      for (const std::string& input : golden.under(name + ".grad."))
        comparison.check(name + ".grad." + input, g[inputs(input)], golden.at(name + ".grad." + input));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
