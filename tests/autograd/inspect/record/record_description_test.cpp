// The descriptions of a recording's values: op, name, module, inputs, rule.
#include <boost/test/unit_test.hpp>

#include <limits>

#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/inspect/record/record.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/linear.h>
#include <tests/support/errors.h>

using namespace tapegrad;
using namespace tapegrad::nn;
using test::error_of;

namespace {

struct Exponential final : Primitive {  // its rule is written in ops alone
  const char* name() const override { return "own_exp"; }
  Formula formula() const override { return "y = e^x;  dx = dy y"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    for (Index i = 0; i < in[0].size(); ++i) out[0].data<double>()[i] = std::exp(in[0].data<double>()[i]);
  }
  VarList pullback(const PullbackArgs& p) const override { return {p.cotangents[0] * p.outputs[0]}; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(record_description)

BOOST_AUTO_TEST_CASE(every_value_says_what_it_is) {
  ParameterStore params(1, DType::f64);
  const Linear layer(params.root() / "net" / "down", 2, 3);
  layer.weight.update([](Tensor& w) { w.fill(0.5); });
  Tape tape({.dtype = DType::f64});
  const Var x = tape.constant({{1, 2}}), unused = tape.variable({1});
  const Var y = layer(x);
  tape.observers().add("net", "result", y);
  const TapeRecord taken = record(sum(y));

  BOOST_REQUIRE(taken.values.size() == 6U);
  BOOST_TEST(taken[0].op == "constant");
  BOOST_TEST(taken[0].gradient.empty());
  BOOST_TEST(taken[1].op == "variable");
  BOOST_TEST(taken[1].gradient.empty());  // the loss does not depend on it
  const RecordedValue& weight = taken.named("net.down.weight");
  BOOST_TEST(weight.op == "parameter");
  BOOST_TEST(weight.parameter);
  BOOST_TEST(weight.module == "net.down");
  BOOST_TEST(weight.version == layer.weight.version());
  BOOST_TEST(weight.version > 0U);
  BOOST_TEST(weight.leaf());
  const RecordedValue& made = taken.named("net.result");
  BOOST_TEST(made.id == 4U);
  BOOST_TEST(made.op == "linear");
  BOOST_TEST(made.module == "net");
  BOOST_TEST((made.inputs == std::vector<std::uint32_t>{0, weight.id, taken.named("net.down.bias").id}));
  BOOST_TEST(made.formula == "y = x W^T + b;  dx = dy W, dW = dy^T x, db = sum of dy's rows");
  BOOST_TEST(made.rule.starts_with("autograd/ops/linear.cpp:"), made.rule);
  BOOST_TEST(made.flops == 12.0);
  BOOST_TEST(made.input_grads.size() == 2U);  // nothing to the constant
  BOOST_TEST(made.input_grads[0].input == 1U);
  BOOST_TEST(made.input_grads[0].to == weight.id);
  BOOST_TEST((made.input_grads[1].values == std::vector<double>{1, 1, 1}));
  BOOST_TEST((taken.order == std::vector<std::uint32_t>{5, 4}));
  BOOST_TEST(taken[5].name().empty());
  BOOST_TEST(static_cast<bool>(unused));
}

BOOST_AUTO_TEST_CASE(only_what_came_before_the_loss_is_taken_down) {
  Tape tape;
  const Var x = tape.variable({2}), loss = sum(square(x)), later = exp(loss);
  BOOST_TEST(record(loss).values.size() == 3U);
  BOOST_TEST(record(later).values.size() == 4U);
}

BOOST_AUTO_TEST_CASE(an_op_of_several_results_sends_once) {
  for (const bool weights_alone : {false, true}) {
    Tape tape({.dtype = DType::f64});
    const auto variable = [&](double value) {
      return tape.variable(Tensor::full({1, 1, 2, 2}, value, DType::f64));
    };
    const Var q = variable(0.1), k = variable(0.2), v = variable(0.3);
    const AttentionResult r = attention_with_weights(q, k, v);
    const Var loss = weights_alone ? sum(square(r.weights)) : sum(square(r.context));
    const TapeRecord taken = record(loss);
    BOOST_REQUIRE(taken.values.size() == 7U);
    const RecordedValue &context = taken[3], &weights = taken[4];
    BOOST_TEST(context.op == "attention");
    BOOST_TEST(weights.op == "attention");
    BOOST_TEST(weights.output == 1U);
    BOOST_TEST((context.inputs == weights.inputs));
    const RecordedValue &carrier = weights_alone ? weights : context,
                        &other = weights_alone ? context : weights;
    BOOST_TEST((taken.order == std::vector<std::uint32_t>{6, 5, carrier.id}));
    BOOST_TEST(carrier.input_grads.size() == 3U);
    BOOST_TEST(other.input_grads.empty());
    BOOST_TEST(carrier.flops > 0);
    BOOST_TEST(other.flops == 0);
  }
}

BOOST_AUTO_TEST_CASE(values_that_are_not_finite_are_marked) {
  using NonFinite = RecordedValue::NonFinite;
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({0, 4}), y = sqrt(x), loss = sum(y);
  const TapeRecord taken = record(loss);
  BOOST_TEST((taken[0].non_finite == NonFinite::gradient));  // 1 / (2 sqrt 0)
  BOOST_TEST((taken[1].non_finite == NonFinite::none));
  const TapeRecord more = record(sum(log(x)));
  BOOST_TEST((more[3].non_finite == NonFinite::value));
  BOOST_TEST((more[4].non_finite == NonFinite::value));
}

BOOST_AUTO_TEST_CASE(ops_are_timed_when_asked) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor::full({8, 8}, 0.1, DType::f64));
  const Var a = apply(Exponential{}, {x}), b = matmul(a, x);
  const Var c = checkpoint([](const Var&v) { return sin(v); }, b), unused = exp(x), loss = sum(c);
  const TapeRecord plain = record(loss), timed = record(loss, {.time = true});
  for (const RecordedValue& v : plain.values) BOOST_TEST((v.forward_ns == 0 && v.backward_ns == 0));
  for (const RecordedValue& v : timed.values) {
    const bool runs = !v.leaf() && v.op != "checkpoint", back = runs && v.op != "exp";
    BOOST_TEST((v.forward_ns > 0) == runs, v.op);
    BOOST_TEST((v.backward_ns > 0) == back, v.op);
    BOOST_TEST(v.flops == (v.leaf() ? 0.0 : v.op == "matmul" ? 1024.0 : v.op == "sum" ? 1.0 : 64.0), v.op);
    BOOST_TEST((v.gradient == plain[v.id].gradient));
  }
  BOOST_TEST(static_cast<bool>(unused));
}

BOOST_AUTO_TEST_CASE(places_name_no_machine) {
  const auto place_of = [](const char* file) { return source_place(SourceLocation::current(file, 7)); };
  BOOST_TEST(place_of("autograd/ops/matmul.cpp") == "autograd/ops/matmul.cpp:7");
  BOOST_TEST(place_of("/build/include/tapegrad/autograd/op.h") == "autograd/op.h:7");
  BOOST_TEST(place_of("/elsewhere/net/my_op.cpp") == "my_op.cpp:7");
  BOOST_TEST(place_of("../net/my_op.cpp") == "my_op.cpp:7");
  const std::string own = source_place(SourceLocation::current());
  BOOST_TEST(own.find("record_description_test.cpp:") != std::string::npos, own);
  BOOST_TEST(own.find("..") == std::string::npos, own);
  BOOST_TEST(!own.starts_with('/'), own);
  Tape tape;
  const Var x = tape.variable({1});
  const TapeRecord taken = record(tanh(x) * x);
  BOOST_TEST(taken[1].rule.starts_with("autograd/ops/activation.cpp:"), taken[1].rule);
  BOOST_TEST(taken[2].rule.starts_with("autograd/ops/arithmetic.cpp:"), taken[2].rule);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  Tape tape;
  const Var x = tape.variable({1, 2}), loss = sum(square(x));
  tape.observers().add("net", "squares", x);
  BOOST_TEST(error_of([&] { record(loss).named("net.square"); }) ==
             "record: no value is named 'net.square'; did you mean 'net.squares'?");
  BOOST_TEST(error_of([&] { record(Var()); }) == "record: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] {
               record(square(x));
             }).starts_with("backward: the loss must have one element, got shape [2]"));
  Tape blind({.record = false});
  BOOST_TEST(error_of([&] { record(sum(blind.full({2}, 1))); }) ==
             "record: this tape does not record (.record = false)");
  const std::size_t bytes = tape.bytes();
  const auto fail = [](Step&) { throw Error("no further"); };
  BOOST_TEST(error_of([&] { record(loss, {.intervene = fail}); }) == "no further");
  BOOST_TEST(tape.bytes() == bytes);
  tape.backward(loss, {.consume = true});
  BOOST_TEST(error_of([&] { record(loss); }).find("this tape was consumed") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
