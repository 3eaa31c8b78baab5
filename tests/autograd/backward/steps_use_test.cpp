// Operations that are allowed between the steps of a pass, and those that throw.
#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/backward/steps.h>
#include <tapegrad/autograd/ops.h>

#include <tests/support/checkpoint_model.h>
#include <tests/support/errors.h>
#include <tests/support/stepping.h>
#include <optional>

namespace tapegrad {
namespace {

using test::check_same_gradients;
using test::error_of;

/// loss = Σ (exp(x) · exp(x))
struct Small {
  Tape tape{{.dtype = DType::f64}};
  Var x = tape.variable({0, 1, -1}), e = exp(x), y = e * e, loss = sum(y);
};

std::vector<std::string> ops_of(BackwardSteps& steps) {
  std::vector<std::string> ops;
  while (steps.next()) ops.emplace_back(steps.current().op);
  return ops;
}

const std::string begin_again =
    "backward_steps: the tape was reset, or rewound to before the last step; begin again";

}  // namespace

BOOST_AUTO_TEST_SUITE(steps_use)

BOOST_AUTO_TEST_CASE(shows_what_goes_in_and_out) {
  Small s;
  BackwardSteps steps = backward_steps(s.loss);
  BOOST_TEST(steps.next());
  BOOST_TEST(steps.current().op == "sum");
  BOOST_TEST(steps.current().output_grads[0].item() == 1);
  BOOST_TEST(steps.next());
  const Step& product = steps.current();
  BOOST_TEST(product.op == "mul");
  BOOST_TEST(product.formula == "c = a * b;  da = dc * b, db = dc * a");
  BOOST_TEST(std::string(product.where.file_name()) == "autograd/ops/arithmetic.cpp");
  BOOST_TEST((product.inputs.size() == 2 && identical(product.inputs[1].value(), s.e.value())));
  BOOST_TEST(identical(product.outputs[0].value(), s.y.value()));
  BOOST_TEST(identical(product.output_grads[0], Tensor::full({3}, 1, DType::f64)));
  BOOST_TEST(identical(product.input_grads[0], s.e.value()));
  BOOST_TEST(identical(product.input_grads[1], s.e.value()));
  BOOST_TEST((ops_of(steps) == std::vector<std::string>{"exp"}));
  BOOST_TEST(!steps.next());
}

BOOST_AUTO_TEST_CASE(breakpoints) {
  const checkpoint_tests::Model model;
  Tape tape({.training = true});
  const Var loss = sum(model.second(model.first(tape.variable(model.data))));
  {
    BackwardSteps steps = backward_steps(loss);
    BOOST_TEST(steps.run_to_op("gelu"));
    BOOST_TEST(steps.current().path == "second");
    BOOST_TEST(steps.run_to_op("gelu"));
    BOOST_TEST(steps.current().path == "first");
    BOOST_TEST(!steps.run_to_op("gelu"));
  }
  {
    BackwardSteps steps = backward_steps(loss);
    BOOST_TEST(steps.run_to_path("fir*"));
    BOOST_TEST(steps.current().op == "rms_norm");
    BOOST_TEST(steps.run_to_path("first.linear"));
    BOOST_TEST(steps.current().op == "linear");
    BOOST_TEST(!steps.run_to_path("second"));  // already passed
  }
  BackwardSteps steps = backward_steps(loss);
  BOOST_TEST(steps.run_to([](const Step& s) { return s.inputs.size() == 2; }));
  BOOST_TEST(!steps.run_to_non_finite());
}

BOOST_AUTO_TEST_CASE(stops_where_something_is_not_finite) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({4, 0});
  const Var loss = sum(square(sqrt(x) + 1));
  BackwardSteps steps = backward_steps(loss);
  BOOST_TEST(steps.run_to_non_finite());
  BOOST_TEST(steps.current().op == "sqrt");
  BOOST_TEST(std::isinf(steps.current().input_grads[0].at({1})));

  const Var y = log(x);
  BackwardSteps forward = backward_steps(sum(y * 2.0));
  BOOST_TEST(forward.run_to_non_finite());
  BOOST_TEST(forward.current().op == "sum");
}

BOOST_AUTO_TEST_CASE(what_an_op_keeps_may_be_infinite) {
  Tape tape;
  const Var q = tape.variable(checkpoint_tests::values({1, 1, 2, 3}, 1));
  const Mask dead = Mask::keep(Tensor::of({{0, 0}, {1, 1}}, DType::boolean));
  BackwardSteps steps = backward_steps(sum(attention(q, q, q, {.mask = dead})));
  BOOST_TEST(!steps.run_to_non_finite());
}

BOOST_AUTO_TEST_CASE(gradients_so_far) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), a = x * 2, b = x * 3, other = exp(x), loss = sum(a * b);
  BackwardSteps steps = backward_steps(loss);
  BOOST_TEST(!steps.so_far(a));  // not yet
  BOOST_TEST(steps.so_far(loss).item() == 1);
  BOOST_TEST(steps.run_to_op("mul"));
  BOOST_TEST(identical(steps.so_far(a), Tensor::of({3, 6}, DType::f64)));
  BOOST_TEST(!steps.so_far(x));
  steps.next();
  const Tensor half = steps.so_far(x);
  BOOST_TEST(identical(half, Tensor::of({6, 12}, DType::f64)));
  steps.next();
  BOOST_TEST(identical(steps.so_far(x), Tensor::of({12, 24}, DType::f64)));
  BOOST_TEST(identical(half, Tensor::of({6, 12}, DType::f64)));  // a copy
  BOOST_TEST(!steps.so_far(other));
  const Var later = exp(loss);
  BOOST_TEST(!steps.so_far(later));
  BOOST_TEST(!steps.next());
  BOOST_TEST(identical(steps.so_far(x), steps.gradients()[x]));
}

BOOST_AUTO_TEST_CASE(parts_so_far_are_zeros_elsewhere) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 2}}), w = tape.variable({{1, 0}, {0, 1}, {1, 1}, {2, 0}});
  const Var first = linear(x, rows(w, 2, 1)), second = linear(x, rows(w, 0, 1));
  const Var loss = sum(first) + sum(second);
  BackwardSteps steps = backward_steps(loss);
  BOOST_TEST(steps.run_to_op("linear"));
  BOOST_TEST(identical(steps.so_far(w), Tensor::of({{1, 2}, {0, 0}, {0, 0}, {0, 0}}, DType::f64)));
  BOOST_TEST(steps.run_to_op("linear"));
  BOOST_TEST(identical(steps.so_far(w), Tensor::of({{1, 2}, {0, 0}, {1, 2}, {0, 0}}, DType::f64)));
}

BOOST_AUTO_TEST_CASE(intervenes_downstream_only) {
  for (const bool checkpointed : {false, true}) {
    Tape tape({.dtype = DType::f64});
    const Var x = tape.variable({0.5, 1, 2}), h = square(x);
    const Var g = checkpointed ? checkpoint([](const Var& v) { return v * v; }, h) : h * h;
    const Var y = exp(g), loss = sum(y * 2.0);
    const Gradients right = tape.backward(loss);
    std::vector<std::string> seen;
    const auto twice = [&](Step& s) {
      seen.emplace_back(s.op);
      BOOST_TEST(static_cast<bool>(s.output_grads[0]));
      if (s.op == "exp") s.input_grads[0].array<double>() *= 2;
    };
    BackwardSteps steps = backward_steps(loss, {.intervene = twice});
    const Gradients wrong = steps.gradients();
    for (const Var& same : {loss, y}) BOOST_TEST(identical(wrong[same], right[same]));
    for (const Var& other : {g, h, x}) {
      std::vector<double> doubled = right[other].to_vector();
      for (double& v : doubled) v *= 2;
      BOOST_TEST(test::relative_difference(wrong[other].to_vector(), doubled) < 1e-15);
    }
    BOOST_TEST(std::count(seen.begin(), seen.end(), "checkpoint") == 0);
    BOOST_TEST(std::count(seen.begin(), seen.end(), "square") == 1);
    check_same_gradients(tape, loss, tape.backward(loss), right);
  }
}

BOOST_AUTO_TEST_CASE(intervening_without_a_change_changes_rounding_at_most) {
  Tape tape({.dtype = DType::f64, .training = true});
  const Var q = tape.variable(checkpoint_tests::values({1, 2, 3, 4}, 1).to(DType::f64));
  const AttentionResult r = attention_with_weights(q, q, q, {.dropout = 0.4});
  const Var loss = sum(square(r.context)) + sum(square(r.weights));
  const Gradients right = tape.backward(loss);
  BackwardSteps steps = backward_steps(loss, {.intervene = [](Step&) {}});
  const Gradients g = steps.gradients();
  for (const Var& x : {q, r.context, r.weights})  // the weights' is completed inside of the op
    BOOST_TEST(test::relative_difference(g[x].to_vector(), right[x].to_vector()) < 1e-14);
}

BOOST_AUTO_TEST_CASE(cuts_a_path) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), a = exp(x), loss = sum(a + x);
  BackwardSteps steps = backward_steps(loss, {.intervene = [](Step& s) {
                                         if (s.op == "add") s.input_grads[0] = Tensor();
                                       }});
  const Gradients g = steps.gradients();
  BOOST_TEST(!g.contains(a));
  BOOST_TEST(identical(g[x], Tensor::of({1, 1}, DType::f64)));
}

BOOST_AUTO_TEST_CASE(recording_and_other_passes_in_between) {
  for (const bool checkpointed : {false, true}) {
    const checkpoint_tests::Model model;
    const checkpoint_tests::Run run{checkpointed};
    Tape tape({.training = true});
    const Var x = tape.variable(model.data);
    const Var middle = run(model.first, x), loss = sum(run(model.second, middle));
    const Gradients expected = tape.backward(loss);
    BackwardSteps steps = backward_steps(loss), other = backward_steps(loss);
    while (steps.next()) {
      const Var more = run(model.second, exp(middle) + exp(x));
      check_same_gradients(tape, loss, tape.backward(loss), expected);
      BOOST_TEST(tape.backward(sum(more)).contains(x));
      if (other.next()) other.next();
    }
    check_same_gradients(tape, loss, steps.gradients(), expected);
    check_same_gradients(tape, loss, other.gradients(), expected);
  }
}

BOOST_AUTO_TEST_CASE(what_was_recorded_before_the_last_step_may_not_go) {
  Small s;
  const Tape::Mark before = s.tape.mark();
  BackwardSteps steps = backward_steps(s.loss);
  steps.next();
  const Tensor first = steps.current().output_grads[0];
  const Tape::Mark between = s.tape.mark();
  exp(s.x);
  s.tape.rewind(between);  // after the last step: nothing is lost
  BOOST_TEST(steps.next());
  const Tensor second = steps.current().output_grads[0];
  s.tape.rewind(between);
  BOOST_TEST(first.item() == 1);
  BOOST_TEST(error_of([&] { second.to_vector(); }) ==
             "tensor: this [3] tensor is stale, its tape was reset since; clone() it to keep the values");
  for (const auto& use : std::initializer_list<std::function<void()>>{
           [&] { steps.next(); }, [&] { steps.current(); }, [&] { steps.so_far(s.x); },
           [&] { steps.gradients(); }, [&] { steps.run_to_op("exp"); }})
    BOOST_TEST(error_of(use) == begin_again);
  BackwardSteps again = backward_steps(s.loss);
  const Gradients g = again.gradients();
  BOOST_TEST(g.contains(s.x));
  s.tape.rewind(before);
  BOOST_TEST(
      error_of([&] { static_cast<void>(g[s.x]); }) ==
      "gradients: stale Gradients, their tape was reset (or a later step began) after the backward pass");
}

BOOST_AUTO_TEST_CASE(refused_after_the_end_of_the_recording) {
  {
    Small s;
    BackwardSteps steps = backward_steps(s.loss);
    steps.next();
    s.tape.reset();
    BOOST_TEST(error_of([&] { steps.next(); }) == begin_again);
    BOOST_TEST(error_of([&] { steps.current(); }) == begin_again);
  }
  {
    Small s;
    BackwardSteps steps = backward_steps(s.loss);
    s.tape.backward(s.loss, {.consume = true});
    const std::string consumed =
        "backward_steps: this tape was consumed by backward(loss, {.consume = true}); only the loss and the "
        "gradients are left. Call reset() and record again, or leave out .consume";
    BOOST_TEST(error_of([&] { steps.next(); }) == consumed);
    BOOST_TEST(error_of([&] { backward_steps(s.loss); }) == "backward" + consumed.substr(14));
  }
  std::optional<BackwardSteps> steps;
  {
    Small s;
    steps.emplace(backward_steps(s.loss));
    steps->next();
  }
  BOOST_TEST(error_of([&] { steps->next(); }) == "backward_steps: the tape of this pass is gone");
  Small other;  // perhaps at the old address
  BOOST_TEST(error_of([&] { steps->next(); }) != "no error");
}

BOOST_AUTO_TEST_CASE(wrong_use) {
  Small s;
  BOOST_TEST(
      error_of([&] { backward_steps(s.y); }) ==
      "backward: the loss must have one element, got shape [3]; reduce it with sum() or give a cotangent");
  BackwardSteps steps = backward_steps(s.loss);
  const std::string none = "backward_steps: no step yet (or no more); call next()";
  BOOST_TEST(error_of([&] { steps.current(); }) == none);
  steps.gradients();
  BOOST_TEST(error_of([&] { steps.current(); }) == none);
  Small other;
  BOOST_TEST(error_of([&] { steps.so_far(other.x); }) ==
             "backward_steps: a value of shape [3] of another tape");
}

BOOST_AUTO_TEST_CASE(what_is_sent_must_fit) {
  Small s;
  const auto wrong = [](Step& step) {
    if (step.op == "mul") step.input_grads[1] = Tensor({2}, DType::f64);
  };
  BackwardSteps steps = backward_steps(s.loss, {.intervene = wrong});
  steps.next();
  BOOST_TEST(error_of([&] { steps.next(); }) ==
             "backward_steps: the gradient that mul sends to input 1 must be f64 [3], got f64 [2]");
  BOOST_TEST(error_of([&] { steps.next(); }) == "backward_steps: a step of this pass threw; begin again");
  BOOST_TEST(error_of([&] { steps.current(); }) == "backward_steps: no step yet (or no more); call next()");

  BackwardSteps fewer = backward_steps(s.loss, {.intervene = [](Step& step) { step.input_grads.clear(); }});
  BOOST_TEST(error_of([&] { fewer.next(); }) == "backward_steps: sum has 1 inputs, got 0 input gradients");
}

BOOST_AUTO_TEST_CASE(changed_parameters_are_found) {
  const checkpoint_tests::Model model;
  Tape tape;
  const Var loss = sum(model.first(tape.variable(model.data)));
  BackwardSteps steps = backward_steps(loss);
  steps.next();
  model.first.down.update([](Tensor&) {});
  BOOST_TEST(error_of([&] { steps.gradients(); }) ==
             "first: linear: parameter 'first.down' is at version 1, but version 0 was recorded; update "
             "parameters after backward, or record again");
}

BOOST_AUTO_TEST_CASE(moves) {
  Small s;
  const Gradients expected = s.tape.backward(s.loss);
  BackwardSteps a = backward_steps(s.loss);
  a.next();
  BackwardSteps b = std::move(a);
  BOOST_TEST(b.current().op == "sum");
  b.next();
  a = std::move(b);
  check_same_gradients(s.tape, s.loss, a.gradients(), expected);
  BOOST_TEST(error_of([&] { b.next(); }) == "backward_steps: these steps were moved to another object");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
