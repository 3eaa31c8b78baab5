// A checkpointed function has the bits of the function itself.
#include <tests/support/checkpoint_model.h>

#include <array>

namespace tapegrad {
namespace {

using namespace checkpoint_tests;

/// Checks that `program(tape, model, run)` gives equal results with and without checkpoints, for every kind
/// of pass.
template <class Program>
void check_same_bits(Program&& program) {
  const Model model;
  for (const bool fused : {true, false})
    for (const bool training : {true, false})
      for (const BackwardOptions& options :
           {BackwardOptions{}, BackwardOptions{.consume = true}, BackwardOptions{.create_graph = true}}) {
        if (options.create_graph && !fused) continue;
        Tape plain({.training = training, .fused = fused, .seed = 9, .step = 4}),
            tape({.training = training, .fused = fused, .seed = 9, .step = 4});
        const Results expected = program(plain, model, Run{false}, options);
        check_identical(program(tape, model, Run{true}, options), expected);
        tape.reset(4);
        check_identical(program(tape, model, Run{true}, options),
                        expected);  // in memory that was used before
      }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoints)

BOOST_AUTO_TEST_CASE(layers_one_after_the_other) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data);
    const Var y = run(m.second, run(m.first, x));
    const Var after = dropout(y, 0.5);  // the draws go on as if nothing had happened
    return gradients(tape, m.params, sum(after * y), {x}, options);
  });
}

BOOST_AUTO_TEST_CASE(parameters_and_values_used_inside_and_outside) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data), captured = tape.variable(m.other);
    const Var before = linear(x, tape[m.first.up]);  // `up` has its leaf before f runs, `down` gets it inside
    const auto f = [&m, captured](const Var& h) { return m.first(h) * captured + m.first(captured); };
    const Var y = run(f, x), z = run(f, y + x);
    const Var after = linear(linear(x, tape[m.first.up]), tape[m.first.down]) * captured;
    return gradients(tape, m.params, sum(after * z) + sum(before), {x, captured}, options);
  });
}

BOOST_AUTO_TEST_CASE(several_inputs_and_outputs) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data), c = tape.constant(m.other), unused = tape.variable(m.other);
    // A result that other results are made of, one twice, an input, a constant, a parameter, a detached one.
    const auto f = [&m](const Var& a, const Var& b, const Var&) {
      Tape& on = a.tape();
      const Var h = m.first(a), y = m.second(h * b);
      return std::array<Var, 8>{h, y, h, a, on.full({6}, 2), on[m.first.gain], detach(y), Var()};
    };
    const auto [h, y, again, same, two, gain, cut, none] = run(f, x, c, unused);
    BOOST_TEST(cut.needs_grad() == false);
    BOOST_TEST(two.needs_grad() == false);
    BOOST_TEST(!none);
    const Var loss = sum(h * y + again * same * two + cut * gain);
    std::vector<Var> asked = {x};
    if (!options.consume) asked.insert(asked.end(), {h, y, again});
    return gradients(tape, m.params, loss, asked, options);
  });
}

BOOST_AUTO_TEST_CASE(results_of_every_kind) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data);
    const std::pair<Var, Var> p = run([](const Var& a) { return std::pair(exp(a), a * a); }, x);
    const auto [a, b] = run([](const Var& u) { return std::tuple(tanh(u), sigmoid(u)); }, p.first);
    const std::vector<Var> v = run([](const Var& u) { return std::vector<Var>{u * u, u + 1}; }, p.second);
    const VarList list = run(
        [](Tape& on, const Tensor& t) {
          return VarList{on.constant(t), on.full({}, 3)};
        },
        tape, m.other);
    return gradients(tape, m.params, sum(a * b + v[0] * v[1] * list[0] * list[1]), {x}, options);
  });
}

BOOST_AUTO_TEST_CASE(checkpoints_in_checkpoints) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data);
    const auto inner = [&m, run](const Var& a) { return run(m.second, dropout(run(m.first, a), 0.1)); };
    const auto outer = [&m, run, inner](const Var& a) { return run(inner, run(m.first, a)) + run(inner, a); };
    const Var y = run(outer, x);
    return gradients(tape, m.params, sum(y * run(outer, y)), {x}, options);
  });
}

BOOST_AUTO_TEST_CASE(results_that_the_loss_does_not_reach) {
  check_same_bits([](Tape& tape, const Model& m, Run run, const BackwardOptions& options) {
    const Var x = tape.variable(m.data);
    const auto f = [&m](const Var& a) { return std::array{m.first(a), m.second(a)}; };
    const std::array<Var, 2> y = run(f, x), dead = run(f, x);
    static_cast<void>(dead);
    return gradients(tape, m.params, sum(y[1]), {x}, options);
  });
}

BOOST_AUTO_TEST_CASE(two_passes_over_one_recording_agree) {
  const Model m;
  Tape tape({.training = true, .seed = 2}), plain({.training = true, .seed = 2});
  const Var x = tape.variable(m.data), y = checkpoint(m.second, checkpoint(m.first, x));
  const Var u = plain.variable(m.data), v = m.second(m.first(u));
  const Var one = sum(y), two = sum(y * y);
  const Var plain_one = sum(v), plain_two = sum(v * v);
  const std::size_t size = tape.size();
  const Results a = gradients(tape, m.params, one, {x, y}, {}),
                b = gradients(tape, m.params, two, {x, y}, {}),
                c = gradients(tape, m.params, one, {x, y}, {.consume = false});
  BOOST_TEST(tape.size() == size);  // the passes leave nothing behind
  check_identical(a, c);
  check_identical(a, gradients(plain, m.params, plain_one, {u, v}, {}));
  check_identical(b, gradients(plain, m.params, plain_two, {u, v}, {}));
}

BOOST_AUTO_TEST_CASE(gradients_of_gradients) {
  const Model m;
  const auto second = [&](Run run) {
    Tape tape({.training = true, .seed = 2});
    const Var x = tape.variable(m.data);
    const Var y = run(m.second, run(m.first, x)), loss = sum(y * y * y);
    const Gradients g = tape.backward(loss, {.create_graph = true});
    const Var penalty = sum(g.var(x) * g.var(x)) + loss;
    Results results = gradients(tape, m.params, penalty, {x}, {});
    results.push_back(g.var(y).value().clone());
    return results;
  };
  const Results expected = second({false}), found = second({true});
  BOOST_REQUIRE(expected.size() == found.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {  // sums in another order
    const std::vector<double> a = expected[i].to_vector(), b = found[i].to_vector();
    double largest = 0, difference = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      largest = std::max(largest, std::abs(a[k]));
      difference = std::max(difference, std::abs(a[k] - b[k]));
    }
    BOOST_TEST(difference <= 1e-5 * largest);
  }
}

BOOST_AUTO_TEST_CASE(parameters_of_another_dtype_and_frozen_ones) {
  Model m;
  m.params.freeze("first.up");
  const auto run = [&](Run how) {
    Tape tape({.dtype = DType::f64, .training = true});
    const Var x = tape.variable(m.data.to(DType::f64));
    const Var y = how(m.first, x);
    m.params.unfreeze("first.up");  // after it was read: still a constant of this recording
    const Results results = gradients(tape, m.params, sum(how(m.second, y)), {x}, {.consume = true});
    m.params.freeze("first.up");
    return results;
  };
  check_identical(run({true}), run({false}));
}

BOOST_AUTO_TEST_CASE(nothing_that_needs_a_gradient) {
  const Model m;
  m.params.find("first.up");
  Tape tape({.training = true});
  const Var x = tape.constant(m.data);
  const Var y = checkpoint([](const Var& a) { return exp(a) * a; }, x);
  BOOST_TEST(!y.needs_grad());
  BOOST_TEST(tape.size() == 2U);
  Tape scratch({.record = false});
  const Var z = checkpoint(m.first, scratch.constant(m.data));
  BOOST_TEST(identical(z.value(), m.first(scratch.constant(m.data)).value()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
