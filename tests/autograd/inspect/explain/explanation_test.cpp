#include <tapegrad/autograd/inspect.h>

#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/ops.h>

#include <tests/support/explained.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(explanation)

BOOST_AUTO_TEST_CASE(what_the_readme_shows_runs) {
  test::ExplainedRun run;
  Tape& tape = run.tape;
  const Var loss = run.loss;
  const AttentionView view = explain(loss, {.numeric = Numeric::none}).attention_views.at(0);
  const TapeRecord taken = record(loss);
  const RecordedValue& found = taken[view.values.at("context")];
  const Var context = tape.handle(found.node, found.output);

  for (const Step& step : backward_steps(loss))
    if (step.path.ends_with("self_attn")) fmt::print("{}: {}\n", step.op, step.formula);
  write_html(explain(loss, {.title = "one step"}), "page.html");
  const Counterfactual without = what_if(loss, tape.backward(loss), context, without_head(context, 0));
  fmt::print("loss {:+.4f}, by its gradient {:+.4f}\n", without.change, without.predicted);

  BOOST_TEST(without.change != 0);
  BOOST_TEST(std::filesystem::file_size("page.html") > 100000u);
  std::filesystem::remove("page.html");
}

/// An explanation is plain data: it outlives the tape and the model.
BOOST_AUTO_TEST_CASE(it_outlives_the_tape) {
  Explanation what;
  std::string before;
  {
    test::ExplainedRun run;
    what = explain(run.loss, run.options);
    before = to_json(what);
    run.tape.reset();
  }
  BOOST_TEST(to_json(what) == before);
  BOOST_TEST(what.attention_views.size() == 3u);
  BOOST_TEST(what.tape.order.size() > 50u);
  BOOST_TEST(!what.what_ifs.empty());
}

/// Values behind a checkpoint are explained without checks, since they cannot run again.
BOOST_AUTO_TEST_CASE(checkpoints_leave_checks_out) {
  const std::string notice =
      "numerical gradients and what-ifs for which a checkpoint would have to run are left out: record "
      "without "
      "checkpoint() to see them";
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape({.dtype = dtype});
    const Var weight = tape.variable({{1, 2}, {3, 4}, {5, 6}});
    const Var x = embedding(weight, Tensor::ids({0, 2}));
    const Var held = checkpoint([](const Var&v) { return exp(v) * v; }, 0.1 * x), y = square(held);
    checkpoint([](const Var& v) { return exp(v); }, y);  // which the loss does not need
    const Var loss = sum(y);
    const Explanation what = explain(loss, {.source = {"a", "b"}, .numeric = Numeric::all});
    BOOST_TEST(std::count(what.notices.begin(), what.notices.end(), notice) == 1);
    BOOST_TEST(what.what_ifs.empty());
    const auto checked = [&](const Var& v) { return !what.tape[v.id().node].check.values.empty(); };
    BOOST_TEST(!checked(weight));
    BOOST_TEST(!checked(x));
    BOOST_TEST(checked(held) == (dtype == DType::f64));
    BOOST_TEST(checked(y) == (dtype == DType::f64));
  }
  test::ExplainedRun run;
  checkpoint([](const Var& v) { return exp(v); }, run.loss);
  const Explanation what = explain(run.loss, run.options);
  BOOST_TEST(std::count(what.notices.begin(), what.notices.end(), notice) == 0);
  BOOST_TEST(!what.what_ifs.empty());
}

BOOST_AUTO_TEST_CASE(an_update_has_as_many_values_as_its_parameter) {
  test::ExplainedRun run;
  run.options.numeric = Numeric::none;
  run.options.update = [](const RecordedValue& p) {
    return std::vector<double>(p.label == "generator.bias" ? 2 : p.value.size());
  };
  std::string text;
  try {
    explain(run.loss, run.options);
  } catch (const Error& e) {
    text = e.what();
  }
  BOOST_TEST(text ==
             "explain: update(parameter) gave 2 values for 'generator.bias' of 13 values, shape [13]");
}

/// The tape is as it was: its values, draws and gradients.
BOOST_AUTO_TEST_CASE(the_tape_stays_as_it_was) {
  test::ExplainedRun run;
  const std::size_t size = run.tape.size();
  const double loss = run.loss.item();
  explain(run.loss, run.options);
  BOOST_TEST(run.tape.size() == size);
  BOOST_TEST(run.loss.item() == loss);
  BOOST_TEST(run.tape.backward(run.loss).parameters("test").size() > 0u);
}

BOOST_AUTO_TEST_CASE(gradient_hooks_hear_of_no_pass) {
  const test::ExplainedRun run;
  Tape tape({.dtype = DType::f64, .show_parts = true});
  int runs = 0;
  tape.observers().on_gradient("*", [&](const std::string&, const Var&, const Tensor&) { ++runs; });
  const Var loss = run.model.loss_sum(tape, test::shards_of(1, 3, 3, 1, 6)[0]);
  record(loss);
  BOOST_TEST(runs == 0);
  BOOST_TEST(!explain(loss, {.numeric = Numeric::none}).what_ifs.empty());
  BOOST_TEST(runs == 0);
  tape.backward(loss);
  BOOST_TEST(runs > 0);
}

BOOST_AUTO_TEST_SUITE_END()
