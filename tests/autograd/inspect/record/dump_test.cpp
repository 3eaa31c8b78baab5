#include <boost/test/unit_test.hpp>

#include <tapegrad/autograd/inspect/record/dump.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/layer.h>
#include <tests/support/errors.h>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

struct Down : Layer<Down> {
  explicit Down(const Scope& s)
      : Layer(s), weight(s.parameter("weight", {1, 2}, zero)), bias(s.parameter("bias", {1}, zero)) {}
  static void zero(Tensor&, RandomKey) {}
  Var forward(const Var& x) const {
    const Var w = x.tape()[weight], b = x.tape()[bias];
    return linear(x, w, b);
  }
  Parameter weight, bias;
};

/// Three ops: a layer, an activation, a sum; and one value that nothing reaches.
struct Run {
  ParameterStore params{1, DType::f64};
  Down layer{params.root() / "net" / "down"};
  Tape tape{{.dtype = DType::f64}};
  Var loss;
  Run() {
    layer.weight.assign(Tensor::of({{2, -1}}, DType::f64));
    layer.bias.assign(Tensor::of({0.5}, DType::f64));
    const Var x = tape.variable({{1, 2}, {3, 4}}), y = layer(x);
    tape.observers().add("net", "hidden", y);
    tape.variable({7});
    loss = sum(relu(y));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(dump)

BOOST_AUTO_TEST_CASE(text_has_a_line_for_every_value) {
  Run run;
  const std::string text = dump_text(record(run.loss));
  BOOST_TEST(text ==
             "7 values, f64, loss 3 is value 6\n"
             "   op         path             shape   inputs  value      gradient\n"
             "0  variable   -                [2, 2]  -       1 … 4      -1 … 2\n"
             "1  parameter  net.down.weight  [1, 2]  -       -1 … 2     4 … 6\n"
             "2  parameter  net.down.bias    [1]     -       0.5        2\n"
             "3  linear     net.hidden       [2, 1]  0 1 2   0.5 … 2.5  1\n"
             "4  variable   -                [1]     -       7          not reached\n"
             "5  relu       -                [2, 1]  3       0.5 … 2.5  1\n"
             "6  sum        -                []      5       3          1\n");
  BOOST_TEST(dump_text(record(run.loss), "net*bias") ==
             "7 values, f64, loss 3 is value 6\n"
             "   op         path           shape  inputs  value  gradient\n"
             "2  parameter  net.down.bias  [1]    -       0.5    2\n");
}

BOOST_AUTO_TEST_CASE(text_counts_what_is_not_finite) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({0, 1});
  BOOST_TEST(dump_text(record(sum(log(x)))) ==
             "3 values, f64, loss -inf is value 2\n"
             "   op        path  shape  inputs  value            gradient\n"
             "0  variable  -     [2]    -       0 … 1            1, 1 not finite\n"
             "1  log       -     [2]    0       0, 1 not finite  1\n"
             "2  sum       -     []     1       1 not finite     1\n");
}

BOOST_AUTO_TEST_CASE(dot_nests_modules) {
  Run run;
  BOOST_TEST(dump_dot(record(run.loss)) ==
             "digraph tape {\n"
             "  rankdir=TB;\n"
             "  node [fontname=\"sans-serif\"];\n"
             "  v0 [label=\"variable\\n[2, 2]\", shape=box];\n"
             "  v4 [label=\"variable\\n[1]\", shape=box, color=gray, fontcolor=gray];\n"
             "  v5 [label=\"relu\\n[2, 1]\"];\n"
             "  v6 [label=\"sum\\n[]\"];\n"
             "  subgraph cluster_0 {\n"
             "    label=\"net\";\n"
             "    v3 [label=\"hidden: linear\\n[2, 1]\"];\n"
             "    subgraph cluster_1 {\n"
             "      label=\"down\";\n"
             "      v1 [label=\"weight\\n[1, 2]\", shape=box];\n"
             "      v2 [label=\"bias\\n[1]\", shape=box];\n"
             "    }\n"
             "  }\n"
             "  v0 -> v3;\n"
             "  v1 -> v3;\n"
             "  v2 -> v3;\n"
             "  v3 -> v5;\n"
             "  v5 -> v6;\n"
             "}\n");
}

BOOST_AUTO_TEST_CASE(dot_quotes_names) {
  Tape tape;
  const Var x = tape.variable({1});
  tape.observers().add("a\"b", "c\\d", x);
  const std::string text = dump_dot(record(square(x)));
  BOOST_TEST(text.find("label=\"a\\\"b\"") != std::string::npos, text);
  BOOST_TEST(text.find("label=\"c\\\\d: variable\\n[1]\"") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(trace_has_an_event_for_every_op_and_pass) {
  Run run;
  TapeRecord taken = record(run.loss);
  BOOST_TEST(test::error_of([&] { dump_trace(taken); }) ==
             "dump_trace: this recording has no times; make it with record(loss, {.time = true})");
  for (const std::uint32_t id : {3U, 5U, 6U}) {
    taken.values[id].forward_ns = 1000.0 * id;
    taken.values[id].backward_ns = 500;
  }
  BOOST_TEST(
      dump_trace(taken) ==
      R"({"displayTimeUnit":"ns","traceEvents":[)"
      R"({"name":"process_name","ph":"M","pid":1,"args":{"name":"tapegrad"}},)"
      R"({"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"forward"}},)"
      R"({"name":"thread_name","ph":"M","pid":1,"tid":2,"args":{"name":"backward"}},)"
      R"({"name":"linear net.hidden","cat":"forward","ph":"X","pid":1,"tid":1,"ts":0,"dur":3,"args":)"
      R"({"value":3,"op":"linear","path":"net.hidden","shape":"[2, 1]","flops":8,"bytes":72}},)"
      R"({"name":"relu","cat":"forward","ph":"X","pid":1,"tid":1,"ts":3,"dur":5,"args":)"
      R"({"value":5,"op":"relu","path":"","shape":"[2, 1]","flops":2,"bytes":32}},)"
      R"({"name":"sum","cat":"forward","ph":"X","pid":1,"tid":1,"ts":8,"dur":6,"args":)"
      R"({"value":6,"op":"sum","path":"","shape":"[]","flops":1,"bytes":24}},)"
      R"({"name":"sum","cat":"backward","ph":"X","pid":1,"tid":2,"ts":14,"dur":0.5,"args":)"
      R"({"value":6,"op":"sum","path":"","shape":"[]","flops":1,"bytes":40}},)"
      R"({"name":"relu","cat":"backward","ph":"X","pid":1,"tid":2,"ts":14.5,"dur":0.5,"args":)"
      R"({"value":5,"op":"relu","path":"","shape":"[2, 1]","flops":2,"bytes":48}},)"
      R"({"name":"linear net.hidden","cat":"backward","ph":"X","pid":1,"tid":2,"ts":15,"dur":0.5,"args":)"
      R"({"value":3,"op":"linear","path":"net.hidden","shape":"[2, 1]","flops":16,"bytes":128}}]})");
}

BOOST_AUTO_TEST_SUITE_END()
