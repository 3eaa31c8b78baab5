// record_tool FORM: a recorded Transformer (causal and padding masks, dropout) as `json`, `page` (with a lab,
// cut to a small budget), `infinite` (values that are not finite), `trace` or `dot`, for check_record.py;
// `single`: an explorer page of a recording in f32, `own`: one of attention written out in ops, for the tests
// in a browser.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <string>

#include <tapegrad/autograd/inspect/explain/explanation.h>
#include <tapegrad/autograd/inspect/record/dump.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/linear.h>
#include <tests/support/explained.h>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

TapeRecord transformer(const RecordOptions& options) {
  ParameterStore params(3, DType::f64);
  const Seq2Seq model(params.root(), test::small_options(0.2));
  test::shake(params);
  Tape tape({.dtype = DType::f64, .training = true, .show_parts = true, .seed = 4});
  tape.observers().collect("*");
  return record(model.loss_sum(tape, test::shards_of(2, 2, 4, 1, 6)[0]), options);
}

/// An explanation with every part of the format.
std::string page() {
  Explanation what;
  what.tape = transformer({.numeric = Numeric::sampled});
  what.title = "a </script> \"quoted\" title, αβγ";
  what.model = {{"heads", "2"}};
  what.source = what.target = what.label = {"a", "b"};
  what.target_vocabulary = {"<pad>", "a", "b"};
  const std::string path = "transformer.decoder.layers.1.self_attn";
  const RecordedValue& weights = what.tape.named(path + ".weights");
  AttentionView view;
  view.path = path;
  view.kind = "causal";
  view.heads = 2;
  view.head_dim = 4;
  view.scale = 0.5;
  view.rows = view.columns = {"a", "b"};
  view.keep = {1, 0, 1, 1};
  view.values = {{"weights", weights.id}, {"scores", what.tape.named(path + ".scores").id}};
  what.attention_views = {view};
  what.output = LossPlace{weights.id, {1, -1}, 1};
  what.parameters = {{"generator.bias", what.tape.named("generator.bias").id, {0.5}}, {"none", 0, {}}};
  what.optimizer = "sgd";
  what.what_ifs = {{"head 1 off", path, 1.5, 0.25, 0.2}};
  what.broken = "softmax";
  what.notices = {"made for a test"};
  what.rules = {{weights.rule, "void backward() {}\n"}};
  return to_json(what,
                 {.max_bytes = to_json(what, {.max_bytes = SIZE_MAX}).size() * 4 / 5, .date = "2026-01-02"});
}

std::string infinite() {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({0, 1, 4});
  return to_json(record(sum(log(x)) * sum(sqrt(x))));
}

std::string single() {
  const test::ExplainedRun run(false, 0, true, DType::f32);
  return to_html(explain(run.loss, run.options));
}

/// One head between linear layers, then two heads between products x W, of which the first is packed.
std::string own() {
  ParameterStore params(1, DType::f64);
  const Scope path = params.root() / "own";
  const Linear query(path / "q", 4, 4), key(path / "k", 4, 4), value(path / "v", 4, 4),
      out(path / "out", 4, 4);
  const Parameter in_weight = path.parameter("in", {4, 12}, uniform(-1, 1));
  const Parameter out_weight = path.parameter("mix", {4, 4}, uniform(-1, 1));
  test::shake(params);
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 0, 2, -1}, {0, 1, 1, 1}, {2, -1, 0, 1}});  // [token, width]
  const Var scores = matmul(query(x), key(x), {.transpose_b = true}) / 2;     // [token, token]
  const Var first = out(matmul(softmax(scores), value(x)));                   // [token, width]

  const Var packed = matmul(first, tape[in_weight]);  // [token, 3 width]
  const auto part = [&](Index third) {                // [head, token, dim]
    return permute(reshape(slice(packed, 1, 4 * third, 4), {3, 2, 2}), {1, 0, 2});
  };
  const Var p = softmax(matmul(part(0), part(1), {.transpose_b = true}) / std::sqrt(2.0));
  const Var merged = reshape(permute(matmul(p, part(2)), {1, 0, 2}), {3, 4});  // [token, width]
  const Var loss = sum(square(matmul(merged, tape[out_weight])));
  return to_html(explain(loss, {.title = "attention of one's own", .source = {"a", "b", "c"}}));
}

std::string form(const std::string& name) {
  if (name == "json") return to_json(transformer({.numeric = Numeric::sampled, .time = true}));
  if (name == "page") return page();
  if (name == "infinite") return infinite();
  if (name == "single") return single();
  if (name == "own") return own();
  if (name == "trace") return dump_trace(transformer({.time = true}));
  if (name == "dot") return dump_dot(transformer({}));
  throw Error(fmt::format("no form '{}'", name));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string text = form(arguments[1]);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
