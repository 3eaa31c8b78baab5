#include <tapegrad/autograd/inspect/explain/broken_rules.h>

#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <tests/support/explained.h>
#include <boost/test/unit_test.hpp>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

std::string name_of(const RecordedValue& v) {
  if (v.parameter) return v.label;
  return fmt::format("{}.{}", v.module, v.label.empty() ? v.op : v.label);
}

/// The first value in the order of the backward pass whose check fails, leaves last; "" when none does.
std::string first_red(const TapeRecord& tape) {
  for (const std::uint32_t id : tape.order)
    if (!tape[id].check.passed()) return name_of(tape[id]);
  for (std::size_t i = tape.values.size(); i-- > 0;)
    if (!tape.values[i].check.passed()) return name_of(tape.values[i]);
  return "";
}

std::string red_when_broken(const char* rule, bool norm_first) {
  ExplainedRun run(norm_first);
  run.options.broken = rule;
  run.options.what_ifs = false;
  const Explanation what = explain(run.loss, run.options);
  BOOST_TEST(what.broken == rule);
  for (const RecordedValue& v : what.tape.values)
    BOOST_TEST((v.gradient.empty() || !v.check.values.empty()), name_of(v));
  return first_red(what.tape);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(broken_rules_suite)

BOOST_AUTO_TEST_CASE(unbroken_all_checks_pass) {
  for (const bool norm_first : {false, true}) {
    ExplainedRun run(norm_first);
    BOOST_TEST(first_red(explain(run.loss, run.options).tape) == "");
  }
}

BOOST_AUTO_TEST_CASE(one_value_is_the_first_that_disagrees) {
  const std::string decoder = "transformer.decoder.layers.0.", self = decoder + "self_attn.";
  const std::pair<const char*, std::string> expected[] = {
      {"softmax-diagonal-only", self + "scores"},
      {"no-scale", self + "matmul"},
      {"no-mask", self + "scores"},
      {"no-transpose", self + "value"},
      {"relu-grad-at-negative", decoder + "linear1.linear"}};
  for (const auto& [rule, red] : expected)
    for (const bool norm_first : {false, true}) BOOST_TEST(red_when_broken(rule, norm_first) == red, rule);
  BOOST_TEST(red_when_broken("layernorm-without-mean-term", false) == decoder + "add");
  BOOST_TEST(red_when_broken("layernorm-without-mean-term", true) == "positions.add");
  BOOST_TEST(red_when_broken("overwrite-instead-of-add", false) == "positions.add");
  BOOST_TEST(red_when_broken("overwrite-instead-of-add", true) == "positions.add");
  BOOST_TEST(red_when_broken("missing-broadcast-sum", false) == self + "out_proj.bias");
  BOOST_TEST(broken_rules().size() == 8u);
}

BOOST_AUTO_TEST_CASE(names) {
  BOOST_TEST(find_broken_rule("no-mask").name == "no-mask");
  BOOST_TEST(find_broken_rule("soft").name == "softmax-diagonal-only");
  const auto message = [](const char* name) {
    try {
      find_broken_rule(name);
    } catch (const Error& error) {
      const std::string text = error.what();
      return text.substr(0, text.find('\n'));
    }
    return std::string("no error");
  };
  BOOST_TEST(message("no-") == "ambiguous rule 'no-', expected one of");
  BOOST_TEST(message("sofa") == "unknown rule 'sofa', expected one of");
  BOOST_TEST(message("") == "unknown rule '', expected one of");
}

BOOST_AUTO_TEST_CASE(a_rule_that_fits_nowhere) {
  Tape tape({.dtype = DType::f64});
  const Var loss = sum(square(tape.variable({1, 2})));
  BOOST_CHECK_EXCEPTION(break_rule(find_broken_rule("relu"), loss), Error, [](const Error& error) {
    return std::string(error.what()) ==
           "break_rule: relu-grad-at-negative fits nowhere in this recording: The gradient passes a ReLU "
           "where its input "
           "is negative, too";
  });
}

BOOST_AUTO_TEST_SUITE_END()
