// Around checkpoints: taps and hooks, mistakes, exceptions, memory.
#include <tests/support/checkpoint_model.h>
#include <tests/support/errors.h>
#include <tests/support/malloc_count.h>

#include <memory>

namespace tapegrad {

using namespace checkpoint_tests;
using test::error_of;

BOOST_AUTO_TEST_SUITE(around_checkpoints)

BOOST_AUTO_TEST_CASE(taps_inside_see_values_and_gradients) {
  const Model m;
  for (const bool create_graph : {false, true}) {
    const auto look = [&](Run run) {
      Tape tape({.training = true, .seed = 3});
      tape.observers().collect("*.hidden");
      const auto both = [&m](const Var& x) { return m.second(m.first(x)); };
      const Var x = tape.variable(m.data), y = run(m.first, run(both, x));
      const Gradients g = tape.backward(sum(y * y), {.create_graph = create_graph});
      Results results = {g[x].clone()};
      std::vector<std::string> names;
      for (const auto& [name, value, heads] : tape.observers().collected()) {
        BOOST_TEST(!heads.has_value());
        names.push_back(name);
        results.push_back(value.value().clone());
        results.push_back(g[value].clone());
      }
      BOOST_TEST(names == (std::vector<std::string>{"first.hidden", "second.hidden", "first.hidden"}),
                 boost::test_tools::per_element());
      return results;
    };
    check_identical(look({true}), look({false}));
  }
}

BOOST_AUTO_TEST_CASE(hooks_inside_run_in_the_forward_only) {
  const Model m;
  Tape tape({.training = true});
  std::vector<Tensor> seen;
  Var kept;
  tape.observers().on_value("first", [&](const std::string&, const Var& y) {
    seen.push_back(y.value().clone());
    kept = y;
  });
  const Var x = tape.variable(m.data), y = checkpoint(m.first, x), z = sum(checkpoint(m.second, y));
  const Gradients g = tape.backward(z);
  BOOST_REQUIRE(seen.size() == 1U);
  BOOST_TEST(identical(seen[0], y.value()));
  BOOST_TEST(g.contains(y));
  BOOST_TEST(
      error_of([&] { kept.value(); }) ==
      "value: this value was recorded inside of a checkpoint, which drops it after its forward; return "
      "it from the function, or tap it");
  m.first(x);
  BOOST_TEST(seen.size() == 2U);  // hooks run again
}

BOOST_AUTO_TEST_CASE(a_parameter_that_changed_is_named) {
  const Model m;
  Tape tape({.training = true});
  const Var loss = sum(checkpoint(m.first, tape.variable(m.data)));
  m.first.down.update([](Tensor& w) { w.data<float>()[0] += 1; });
  BOOST_TEST(
      error_of([&] { tape.backward(loss); }) ==
      "checkpoint: parameter 'first.down' is at version 1, but version 0 was recorded; update parameters "
      "after backward, or record again");
  BOOST_TEST(error_of([&] {
               checkpoint(
                   [&](const Var& x) {
                     const Var y = m.second(x);
                     m.second.gain.update([](Tensor& w) { w.data<float>()[0] += 1; });
                     return y;
                   },
                   tape.variable(m.data));
             }) ==
             "checkpoint: parameter 'second.gain' is at version 1, but version 0 was recorded; update "
             "parameters after backward, or record again");
}

BOOST_AUTO_TEST_CASE(a_function_that_changes_is_refused) {
  const Model m;
  Tape tape;
  const auto differs = [](const std::string& what) {
    return "checkpoint: the function did something else when it ran again in the backward pass: " + what +
           "; it may depend on nothing that changes in between";
  };
  double factor = 2;
  int count = 1;
  const Parameter* read = &m.first.gain;
  Var used;
  const auto check = [&](auto&& f, auto&& change, const std::string& what) {
    tape.reset();
    factor = 2, count = 1, read = &m.first.gain, used = Var();
    const Var x = tape.variable(m.data), before = exp(x);
    const Var loss = sum(checkpoint(f, before));
    change();
    const std::size_t size = tape.size();
    BOOST_TEST(error_of([&] { tape.backward(loss); }) == differs(what));
    BOOST_TEST(tape.size() == size);
    factor = 2, count = 1, read = &m.first.gain, used = Var();
    BOOST_TEST(tape.backward(loss).contains(before));  // the tape is as it was
  };
  check([&](const Var& x) { return x * factor; }, [&] { factor = 3; }, "result 0 has other values");
  check([&](const Var& x) { return slice(x, 0, 0, count); }, [&] { count = 2; },
        "result 0 is of shape [2, 6] instead of [1, 6]");
  check(
      [&](const Var& x) {
        Var y = x * 1;
        for (int i = 1; i < count; ++i) y = y * 1;
        return y;
      },
      [&] { count = 3; }, "3 values were recorded instead of 1");
  check([&](const Var& x) { return x * x.tape()[*read]; }, [&] { read = &m.second.gain; },
        "it read parameter 'second.gain', which it did not before");
  check([&](const Var& x) { return x * (used ? used : x); }, [&] { used = tape.full({6}, 1); },
        "it read a value of shape [6], which it did not before");
  check([&](const Var& x) { return count == 1 ? x * 2 : detach(x); }, [&] { count = 2; },
        "0 results (and taps) instead of 1");
}

BOOST_AUTO_TEST_CASE(freezing_inside_is_refused) {
  Model m;
  Tape tape({.training = true});
  const Var x = tape.variable(m.data);
  const auto freezes = [&](const Var& a) {
    const Var y = m.first(a);
    m.params.freeze("first.up");
    return y;
  };
  const auto for_one_use = [&](const Var& a) {
    const Var y = freezes(a), z = m.first(y);
    m.params.unfreeze("first.up");
    return z;
  };
  const std::string message = "checkpoint: parameter 'first.up' was frozen or unfrozen inside; do it before";
  const std::size_t size = tape.size();
  BOOST_TEST(error_of([&] { checkpoint(for_one_use, x); }) == message);
  BOOST_TEST(error_of([&] { checkpoint(freezes, x); }) == message);
  BOOST_TEST(tape.size() == size);
}

BOOST_AUTO_TEST_CASE(mistakes_are_told) {
  const Model m;
  Tape tape({.training = true}), other;
  const Var x = tape.variable(m.data), far = other.variable(m.data);
  const Var once = checkpoint(m.first, x);
  const std::size_t size = tape.size(), bytes = tape.bytes();
  BOOST_TEST(error_of([&] {
               checkpoint([](const Var& a) { return a * a.tape().variable({1, 2, 3, 4, 5, 6}); }, x);
             }) ==
             "checkpoint: a variable of shape [6] was made inside, where its gradient is dropped; make it "
             "before and pass it in");
  BOOST_TEST(error_of([&] { checkpoint([&](const Var&) { return far; }, x); }) ==
             "checkpoint: result 0 of shape [5, 6] was recorded on another tape");
  BOOST_TEST(error_of([&] { checkpoint(m.first, tape.constant({1, 2})); }).starts_with("first: linear: "));
  BOOST_TEST(error_of([&] { checkpoint([](const Var& a) { return a; }, Var()); }) ==
             "layer: an empty Var; it was never recorded on a tape");
  BOOST_CHECK_THROW(checkpoint([&](const Var& a) -> Var { exp(m.first(a)), throw std::string(); }, x),
                    std::string);
  tape.constant({1, 2});
  BOOST_TEST(tape.size() == size + 2);  // the two constants: what failed left nothing
  BOOST_TEST(tape.bytes() < bytes + 1000);
  Tape same({.training = true});
  const Var u = same.variable(m.data), v = m.first(u);
  // Draws too: 2 were made before, and none by what failed.
  BOOST_TEST(identical(dropout(once, 0.5).value(), dropout(v, 0.5).value()));
}

BOOST_AUTO_TEST_CASE(an_exception_in_the_backward_pass_leaves_the_tape_usable) {
  const Model m;
  Tape tape({.training = true}), plain({.training = true});
  bool fail = false;
  const Var x = tape.variable(m.data);
  const Var loss = sum(checkpoint(
      [&](const Var& a) {
        const Var y = m.first(a);
        if (fail) throw std::string();
        return m.second(y);
      },
      x));
  fail = true;
  BOOST_CHECK_THROW(tape.backward(loss, {.consume = true}), std::string);
  fail = false;
  const Var u = plain.variable(m.data), expected = sum(m.second(m.first(u)));
  check_identical(gradients(tape, m.params, loss, {x}, {.consume = true}),
                  gradients(plain, m.params, expected, {u}, {.consume = true}));
}

BOOST_AUTO_TEST_CASE(what_was_captured_lives_as_long_as_the_recording) {
  const auto alive = std::make_shared<int>(1);
  {
    Tape tape;
    const Var x = tape.variable({1, 2});
    const Tape::Mark mark = tape.mark();
    const auto f = [alive](const Var& a) { return a * *alive; };
    checkpoint(f, x);
    BOOST_TEST(alive.use_count() == 3);
    tape.rewind(mark);
    BOOST_TEST(alive.use_count() == 2);
    checkpoint([](const Var& a, const std::shared_ptr<int>& p) { return exp(a) * *p; }, x, alive);
    BOOST_TEST(alive.use_count() == 3);
    tape.reset();
    BOOST_TEST(alive.use_count() == 2);
    checkpoint(f, tape.variable({1, 2}));
    BOOST_CHECK_THROW(checkpoint([alive](const Var&) -> Var { throw 1; }, tape.variable({1})), int);
    BOOST_TEST(alive.use_count() == 3);
  }
  BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(training_is_what_it_was_in_the_forward) {
  const Model m;
  Tape tape({.training = true}), plain({.training = true});
  const Var x = tape.variable(m.data), loss = sum(checkpoint(m.first, x));
  const Var u = plain.variable(m.data), expected = sum(m.first(u));
  tape.set_training(false);
  check_identical(gradients(tape, m.params, loss, {x}, {}), gradients(plain, m.params, expected, {u}, {}));
  BOOST_TEST(!tape.training());
}

BOOST_AUTO_TEST_CASE(memory_of_a_chain_is_that_of_its_results) {
  const Tensor data = values({64, 64}, 1);
  const auto peak = [&](Run run, bool consume) {
    Tape tape;
    const auto twenty = [](const Var& x) {
      Var y = x;
      for (int i = 0; i < 20; ++i) y = tanh(y * 1.5);
      return y;
    };
    Var x = tape.variable(data);
    for (int i = 0; i < 20; ++i) x = run(twenty, x);
    tape.backward(sum(x), {.consume = consume});
    return static_cast<double>(tape.peak_bytes()) / (64 * 64 * 4);
  };
  // In arrays: 800 values, and without .consume as many gradients; against 20 values, and 40 of each once.
  BOOST_TEST(peak({false}, true) > 800);
  BOOST_TEST(peak({false}, false) > 1600);
  BOOST_TEST(peak({true}, true) < 80);
  BOOST_TEST(peak({true}, false) < 140);
}

BOOST_AUTO_TEST_CASE(warm_steps_allocate_nothing) {
  if (!test::counts_allocations()) return;
  const Model m;
  Tape tape({.training = true});
  const auto inner = [&m](const Var& x) { return checkpoint(m.second, checkpoint(m.first, x)); };
  const auto step = [&](std::uint64_t number) {
    tape.reset(number);
    const Var x = tape.variable(m.data);
    tape.backward(sum(checkpoint(inner, checkpoint(m.first, x))), {.consume = true});
  };
  step(0);
  step(1);
  const std::uint64_t before = test::allocation_calls();
  step(2);
  BOOST_TEST(test::allocation_calls() - before == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
