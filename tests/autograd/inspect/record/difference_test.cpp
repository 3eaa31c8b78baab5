#include <boost/test/unit_test.hpp>

#include <cmath>

#include <tapegrad/autograd/inspect/record/difference.h>
#include <tapegrad/autograd/ops.h>
#include <tests/support/errors.h>
#include <tests/support/small_seq2seq.h>

using namespace tapegrad;
using namespace tapegrad::nn;
using Kind = Difference::Kind;

namespace {

/// A Transformer's run; `change` may change its parameters before.
template <class Change>
TapeRecord run(Change&& change, const RecordOptions& options = {}) {
  ParameterStore params(3, DType::f64);
  const Seq2Seq model(params.root(), test::small_options());
  change(params);
  Tape tape({.dtype = DType::f64});
  return record(model.loss_sum(tape, test::shards_of(2, 2, 4, 1, 6)[0]), options);
}
TapeRecord run() {
  return run([](const ParameterStore&) {});
}

TapeRecord small(const std::vector<double>& x, double factor) {
  Tape tape({.dtype = DType::f64});
  const Var v = tape.variable(Tensor::from(x, {2, 2}, DType::f64));
  return record(sum(square(v * factor)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(difference)

BOOST_AUTO_TEST_CASE(equal_runs_do_not_differ) {
  BOOST_TEST(!diff(run(), run()));
  BOOST_TEST(to_text(diff(run(), run())) == "no difference");
  const double nan = std::nan("");
  BOOST_TEST(!diff(small({nan, 1, 2, 3}, 2), small({nan, 1, 2, 3}, 2)));
}

BOOST_AUTO_TEST_CASE(a_changed_parameter_is_the_first_difference) {
  const TapeRecord a = run(),
                   b = run([](const ParameterStore&params) {
                     params.at("transformer.decoder.layers.1.linear2.weight").update([](Tensor& w) {
                       w.data<double>()[13] += 1e-9;
                     });
                   });
  const auto found = diff(a, b);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST((found->kind == Kind::value));
  BOOST_TEST(found->id == a.named("transformer.decoder.layers.1.linear2.weight").id);
  BOOST_TEST(found->element == 13);
  BOOST_TEST(found->b - found->a == 1e-9, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(
      to_text(found).starts_with(fmt::format(
          "value {}, transformer.decoder.layers.1.linear2.weight parameter [8, 12]: element [1, 1] is ",
          found->id)),
      to_text(found));
  BOOST_TEST(!diff(a, b, 1e-6));
}

BOOST_AUTO_TEST_CASE(a_broken_rule_is_the_first_gradient_that_differs) {
  const auto broken = [](Step& step) {
    if (step.op != "layer_norm" && step.op != "add_layer_norm") return;
    if (step.path.find("encoder.layers.1.norm1") == std::string::npos) return;
    Tensor changed = step.input_grads[0].clone();
    changed.data<double>()[3] += 1;
    step.input_grads[0] = changed;
  };
  const TapeRecord a = run([](const ParameterStore&) {}, {.intervene = [](Step&) {}});
  const TapeRecord b = run([](const ParameterStore&) {}, {.intervene = broken});
  const auto found = diff(a, b);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST((found->kind == Kind::gradient));
  const auto user = std::find_if(a.values.rbegin(), a.values.rend(), [&](const RecordedValue& v) {
    return std::find(v.inputs.begin(), v.inputs.end(), found->id) != v.inputs.end();
  });
  BOOST_TEST(user->module == "transformer.encoder.layers.1.norm1");
  BOOST_TEST(found->text.find("gradient at [") != std::string::npos, found->text);
}

BOOST_AUTO_TEST_CASE(other_ops_and_shapes_are_named) {
  const auto run_of = [](Var (*op)(const Var&)) {
    Tape tape({.dtype = DType::f64});
    return record(sum(op(tape.variable({{1, 2}, {3, 4}}))));
  };
  const TapeRecord a = run_of(square), b = run_of(exp);
  const auto op = diff(a, b);
  BOOST_TEST(to_text(op) == "value 1, square [2, 2]: its op is square and exp");
  BOOST_TEST((op->kind == Kind::structure));
  const auto shape = [](Index rows) {
    Tape own({.dtype = DType::f64});
    return record(sum(own.variable(Tensor({rows, 2}, DType::f64))));
  };
  BOOST_TEST(to_text(diff(shape(2), shape(3))) == "value 0, variable [2, 2]: its shape is [2, 2] and [3, 2]");
}

BOOST_AUTO_TEST_CASE(other_inputs_and_lengths_are_named) {
  const auto chain = [](bool second, int length) {
    Tape tape({.dtype = DType::f64});
    const Var x = tape.variable({1}), y = tape.variable({1});
    Var z = x * (second ? x : y);
    for (int i = 0; i < length; ++i) z = z + z;
    return record(z);
  };
  BOOST_TEST(to_text(diff(chain(false, 0), chain(true, 0))) ==
             "value 2, mul [1]: its inputs are [0, 1] and [0, 0]");
  BOOST_TEST(to_text(diff(chain(false, 1), chain(false, 2))) ==
             "value 4, add [1]: the second recording alone has it");
  BOOST_TEST(to_text(diff(chain(false, 2), chain(false, 1))) ==
             "value 4, add [1]: the first recording alone has it");
  const auto frozen = [](bool constant) {
    Tape tape({.dtype = DType::f64});
    const Tensor two = Tensor::of({2}, DType::f64);
    const Var x = tape.variable({1}), y = tape.variable(two);
    return record(x * (constant ? detach(y) : y * 1));
  };
  BOOST_TEST((diff(frozen(true), frozen(false))->kind == Kind::structure));
}

BOOST_AUTO_TEST_CASE(numbers_are_compared_to_the_tolerance) {
  const TapeRecord a = small({1, 2, 3, 4}, 1), b = small({1, 2, 3, 4.0004}, 1);
  BOOST_TEST(to_text(diff(a, b)) == "value 0, variable [2, 2]: element [1, 1] is 4 and 4.0004");
  BOOST_TEST(!diff(a, b, 1e-3));
  BOOST_TEST(diff(a, b, 1e-5).has_value());
  BOOST_TEST(to_text(diff(small({0, 1, 1, 1}, 1), small({-0.0, 1, 1, 1}, 1))) ==
             "value 0, variable [2, 2]: element [0, 0] is 0 and -0");
  BOOST_TEST(test::error_of([&] { diff(a, b, -1); }) == "diff: tolerance must be at least 0, got -1");
}

BOOST_AUTO_TEST_CASE(a_gradient_in_one_run_alone_is_told) {
  TapeRecord a = small({1, 2, 3, 4}, 1), b = a;
  b.values[0].gradient.clear();
  BOOST_TEST(to_text(diff(a, b)) ==
             "value 0, variable [2, 2]: a gradient reaches it in the first recording alone");
  BOOST_TEST((diff(b, a)->kind == Kind::gradient));
}

BOOST_AUTO_TEST_SUITE_END()
