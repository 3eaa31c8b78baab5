#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/inspect/replay/replay.h>
#include <tapegrad/autograd/ops.h>
#include <tests/support/replayed.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <tests/support/malloc_count.h>

namespace tapegrad {
namespace {

using test::check_values;
using test::error_of;

constexpr TapeOptions f64{.dtype = DType::f64};

BOOST_AUTO_TEST_SUITE(replay)

BOOST_AUTO_TEST_CASE(a_leaf_has_another_value_and_the_tape_stays) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2, 3}), y = x * x, loss = sum(y);
  const Replay replay = test::replay_from(x, Tensor::of({2, 2, 1}, DType::f64));
  check_values(replay[x], {3}, {2, 2, 1});
  check_values(replay[y], {3}, {4, 4, 1});
  BOOST_TEST(replay[loss].item() == 9);
  check_values(x.value(), {3}, {1, 2, 3});
  BOOST_TEST(loss.item() == 14);
  BOOST_TEST(tape.size() == 3U);
}

BOOST_AUTO_TEST_CASE(what_computed_a_changed_result_does_not_run) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), y = 3 * x, z = y + x;
  Replay replay(tape);
  replay.set(x, Tensor::of({10, 20}, DType::f64));
  replay.set(y, 1, 5);  // [3, 5] whatever x is
  replay.run();
  check_values(replay[y], {2}, {3, 5});
  check_values(replay[z], {2}, {13, 25});
  replay.clear();
  check_values(replay[z], {2}, {4, 8});
  replay.add(y, 0, 0.5);
  replay.run();
  check_values(replay[z], {2}, {4.5, 8});
}

BOOST_AUTO_TEST_CASE(the_same_values_give_the_recorded_bits_dropout_included) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape({.dtype = dtype, .training = true, .seed = 7});
    const Var x = tape.variable(Tensor::of({{0.1, -0.7, 0.3}, {0.9, 0.2, -0.4}}, dtype));
    const Var y = dropout(gelu(matmul(x, x, {.transpose_b = true})), 0.5), p = softmax(dropout(y + 1, 0.3)),
              loss = sum(p * y);
    const Replay replay = test::replay_from(x, x.value().clone());
    for (const Var& v : {x, y, p, loss}) BOOST_TEST(identical(replay[v], v.value()));
  }
}

BOOST_AUTO_TEST_CASE(another_precision_starts_from_the_recorded_leaves) {
  Tape single({.training = true, .seed = 3});
  const Tensor values = Tensor::of({{0.1, -0.7, 0.3}, {0.9, 0.2, -0.4}});
  const Tensor ids = Tensor::ids({2, 0});
  const auto compute = [&](Tape& tape, const Tensor& leaf) {
    const Var x = tape.variable(leaf);
    return std::pair(x, cross_entropy(dropout(tanh(x), 0.5), ids));
  };
  const auto [x, loss] = compute(single, values);
  Tape exact({.dtype = DType::f64, .training = true, .seed = 3});
  const auto [same, expected] = compute(exact, values.to(DType::f64));
  Replay replay(single, DType::f64);
  BOOST_TEST(identical(replay[loss], expected.value()));
  BOOST_TEST(std::abs(loss.item() - expected.item()) > 0);
  for (Index i = 0; i < x.size(); ++i) replay.add(x, i, 1e-3 * static_cast<double>(i));
  replay.run();
  BOOST_TEST(replay[loss].item() != expected.item());
  replay.clear();
  BOOST_TEST(replay[loss].item() == expected.item());
}

BOOST_AUTO_TEST_CASE(runs_only_what_the_last_value_needs) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), y = 2 * x, other = exp(x), loss = sum(y);
  Replay replay(tape);
  replay.set(x, 0, 5);
  BOOST_TEST(error_of([&] { replay[loss]; }) == "replay: a value was changed; run() comes before reading");
  replay.run(loss);
  BOOST_TEST(replay[loss].item() == 14);
  BOOST_TEST(
      error_of([&] { replay[other]; }) ==
      "replay: run(last) did not compute this value of shape [2], as `last` does not need it; say run()");
  replay.run();
  BOOST_TEST(replay[other].at({0}) == std::exp(5.0), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(one_of_several_results) {
  Tape tape(f64);
  const Var x = tape.variable({{1, 2}, {3, 4}}), f = tape.variable({{1, 0}, {0, 1}});
  const Var weight = tape.variable({1, 1}), bias = tape.variable({0, 0});
  const NormedSum r = add_norm({weight, bias}, x, f);
  const Var loss = sum(r.sum * r.normed);
  Replay replay(tape);
  replay.set(r.normed, Tensor::of({{1, 0}, {0, 1}}, DType::f64));
  replay.add(x, 0, 10);
  replay.run();
  check_values(replay[r.sum], {2, 2}, {12, 2, 3, 5});
  check_values(replay[r.normed], {2, 2}, {1, 0, 0, 1});
  BOOST_TEST(replay[loss].item() == 17);
  BOOST_TEST(error_of([&] { replay.backward(loss); }) ==
             "replay: no gradients, as one of several results of add_layer_norm was changed");
}

BOOST_AUTO_TEST_CASE(gradients_at_the_replayed_values) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), c = tape.constant({3, 3}), y = x * x, unused = exp(x),
            loss = sum(y * c) + 0 * sum(x);
  const std::size_t recorded = tape.size();
  Replay replay(tape);
  replay.set(x, 1, 4);
  replay.run(loss);
  replay.backward(loss);
  check_values(replay.gradient(x), {2}, {6, 24});
  check_values(replay.gradient(y), {2}, {3, 3});
  BOOST_TEST(!replay.gradient(c));
  BOOST_TEST(!replay.gradient(unused));
  BOOST_TEST(tape.size() == recorded);

  replay.set(y, Tensor::of({7, 8}, DType::f64));  // and x gets nothing through it
  BOOST_TEST(error_of([&] { replay.gradient(x); }) ==
             "replay: no gradients; they come from backward(), and go with any change");
  BOOST_TEST(error_of([&] { replay.backward(loss); }) ==
             "replay: a value was changed; run() comes before backward()");
  replay.run();
  replay.backward(loss);
  check_values(replay.gradient(y), {2}, {3, 3});
  check_values(replay.gradient(x), {2}, {0, 0});
  replay.clear();
  replay.set(c, 0, 5);  // a changed constant counts as a variable
  replay.run();
  replay.backward(loss);
  check_values(replay.gradient(c), {2}, {1, 4});
  BOOST_TEST(
      error_of([&] { replay.backward(y); }) ==
      "backward: the loss must have one element, got shape [2]; reduce it with sum() or give a cotangent");
  BOOST_TEST(error_of([&] { replay.gradient(x); }) ==
             "replay: no gradients; they come from backward(), and go with any change");
}

BOOST_AUTO_TEST_CASE(gradients_in_another_precision_are_those_of_a_tape_of_it) {
  Tape single({.training = true, .seed = 4}), exact({.dtype = DType::f64, .training = true, .seed = 4});
  const Tensor values = Tensor::of({{{0.1, -0.7}, {0.3, 0.9}, {0.2, -0.4}}});
  const auto compute = [&](Tape& tape, const Tensor& leaf) {
    const Var x = tape.variable(leaf);  // [batch, time, dim]
    const Var a = attention(x, 2 * x, x, {.mask = Mask::causal(), .dropout = 0.2, .layout = PackedHeads{1}});
    return std::pair(x, sum(log_softmax(max(a, -1)) * tape.full({}, 0.5)));
  };
  const auto [x, loss] = compute(single, values);
  const auto [same, expected] = compute(exact, values.to(DType::f64));
  Replay replay(single, DType::f64);
  replay.backward(loss);
  BOOST_TEST(identical(replay.gradient(x), exact.backward(expected)[same]));
}

BOOST_AUTO_TEST_CASE(sizes_0_and_rank_0) {
  Tape tape(f64);
  const Var none = tape.variable(Tensor({0, 3}, DType::f64)),
            s = tape.variable(Tensor::full({}, 2, DType::f64));
  const Var loss = sum(none) + s * s;
  Replay replay(tape);
  replay.set(none, Tensor({0, 3}, DType::f64));
  replay.set(s, 0, 3);
  replay.run();
  BOOST_TEST(replay[none].size() == 0);
  BOOST_TEST(replay[loss].item() == 9);
}

BOOST_AUTO_TEST_CASE(repeated_changes_allocate_nothing) {
  if (!test::counts_allocations()) return;
  Tape tape(f64);
  const Var x = tape.variable({{1, 2}, {3, 4}}), loss = sum(softmax(gelu(matmul(x, x))) * x);
  Replay replay(tape);
  const auto once = [&] {
    replay.add(x, 2, 1e-3);
    replay.run(loss);
    return replay[loss].item();
  };
  once();
  const std::uint64_t before = test::allocation_calls();
  for (int i = 0; i < 10; ++i) once();
  BOOST_TEST(test::allocation_calls() == before);
}

BOOST_AUTO_TEST_CASE(values_become_stale) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), y = 2 * x;
  Tensor kept;
  {
    Replay replay = test::replay_from(x, Tensor::of({3, 4}, DType::f64));
    const Tensor value = replay[y];
    check_values(value, {2}, {6, 8});
    replay.add(x, 0, 1);
    BOOST_TEST(error_of([&] { value.item(); }) != "no error");
    BOOST_TEST(error_of([&] { value.to_vector(); }) ==
               "tensor: this [2] tensor is stale, its tape was reset since; clone() it to keep the values");
    replay.run();
    Replay moved = std::move(replay);
    kept = moved[y];
    check_values(kept, {2}, {8, 8});
    const std::string gone = "replay: was moved to another object";
    BOOST_TEST(error_of([&] { replay.set(x, 0, 1); }) == gone);
    BOOST_TEST(error_of([&] { replay.run(); }) == gone);
    BOOST_TEST(error_of([&] { replay.clear(); }) == gone);
    BOOST_TEST(error_of([&] { replay[y]; }) == gone);
    BOOST_TEST(error_of([&] { replay.backward(y); }) == gone);
    BOOST_TEST(error_of([&] { replay.gradient(x); }) == gone);
  }
  BOOST_TEST(error_of([&] { kept.to_vector(); }) ==
             "tensor: the tape that owned this [2] tensor is gone; clone() it to keep the values");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_gone) {
  const std::string gone =
      "replay: the tape was reset, rewound or destroyed after this replay was made; record again and make "
      "another one";
  auto tape = std::make_unique<Tape>(f64);
  const Var x = tape->variable({1, 2}), loss = sum(x * x);
  {
    Replay replay(*tape);
    const Tape::Mark end = tape->mark();
    const Var later = 2 * x;
    BOOST_TEST(error_of([&] { replay[later]; }) ==
               "replay: a value of shape [2] that was recorded after this replay was made");
    tape->rewind(end);
    BOOST_TEST(replay[loss].item() == 5);
    tape->backward(loss, {.consume = true});
    BOOST_TEST(error_of([&] { replay.run(); }) ==
               "replay: this tape was consumed by backward(loss, {.consume = true}); only the loss and the "
               "gradients "
               "are left. Call reset() and record again, or leave out .consume");
    tape->reset();
    BOOST_TEST(error_of([&] { replay.run(); }) == gone);
    BOOST_TEST(error_of([&] { replay.clear(); }) == gone);
    BOOST_TEST(error_of([&] { replay[loss]; }) == gone);
  }
  const Var again = tape->variable({1, 2});
  Replay replay(*tape);
  tape.reset();
  BOOST_TEST(error_of([&] { replay.set(again, 0, 1); }) == gone);
}

BOOST_AUTO_TEST_CASE(refuses_what_does_not_fit) {
  Tape tape(f64), other(f64), empty(f64), light({.record = false});
  const Var x = tape.variable({1, 2}), foreign = other.variable({1});
  Replay replay(tape);
  BOOST_TEST(error_of([&] {
               replay.set(x, Tensor::of({1, 2, 3}, DType::f64));
             }) == "replay: a value of f64 [3] cannot stand for one of f64 [2]");
  BOOST_TEST(error_of([&] {
               replay.set(x, Tensor::of({1, 2}));
             }) == "replay: a value of f32 [2] cannot stand for one of f64 [2]");
  BOOST_TEST(error_of([&] { replay.set(x, 2, 0); }) == "replay: element 2 of a value of shape [2]");
  BOOST_TEST(error_of([&] { replay.add(x, -1, 0); }) == "replay: element -1 of a value of shape [2]");
  BOOST_TEST(error_of([&] { replay.set(foreign, 0, 0); }) ==
             "replay: a value of shape [1] that was recorded on another tape");
  BOOST_TEST(error_of([&] { replay[Var()]; }) == "replay: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] { Replay{empty}; }) == "replay: nothing was recorded yet");
  light.variable({1});
  BOOST_TEST(error_of([&] { Replay{light}; }) == "replay: this tape does not record (.record = false)");
  BOOST_TEST(error_of([&] { Replay(tape, DType::i64); }) == "replay: computes in f32 or f64, got i64");
}

BOOST_AUTO_TEST_CASE(refuses_to_run_a_checkpoint) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), y = tape.variable({3, 4});
  const Var held = checkpoint([](const Var&v) { return exp(v) * v; }, x), loss = sum(held * y);
  const std::string text =
      "replay: a checkpoint would have to run, which keeps no recording of what it computed; record without "
      "checkpoint()";
  Replay replay(tape);
  replay.set(y, 0, 0);
  replay.run();  // which the checkpoint does not depend on
  BOOST_TEST(replay[loss].item() == std::exp(2.0) * 2 * 4, boost::test_tools::tolerance(1e-15));
  replay.set(x, 0, 0);
  BOOST_TEST(error_of([&] { replay.run(); }) == text);
  BOOST_TEST(error_of([&] { replay[loss]; }) == "replay: a value was changed; run() comes before reading");
  Tape single;
  checkpoint([](const Var& v) { return exp(v); }, single.variable({1}));
  BOOST_TEST(error_of([&] { Replay(single, DType::f64); }) == text);
}

BOOST_AUTO_TEST_CASE(a_parameter_that_was_updated_is_refused) {
  ParameterStore params(1, DType::f64);
  const Parameter w = params.root().parameter("w", {2}, [](Tensor& v, RandomKey) { v.fill(2); });
  Tape tape(f64);
  const Var x = tape.variable({1, 2}), y = tape[w] * x, z = y + 1;
  Replay replay(tape);
  replay.set(x, 0, 5);
  w.update([](Tensor& v) { v.fill(3); });
  BOOST_TEST(error_of([&] { replay.run(); }) ==
             "replay: parameter 'w' is at version 1, but version 0 was recorded; update parameters after "
             "backward, or "
             "record again");
  replay.clear();
  replay.set(y, 0, 5);  // which no longer reads it
  replay.run();
  check_values(replay[z], {2}, {6, 5});
}

BOOST_AUTO_TEST_CASE(results_inside_of_an_op_need_a_tape_that_shows_parts) {
  for (const bool parts : {false, true}) {
    Tape tape({.dtype = DType::f64, .show_parts = parts});
    const Var x = tape.variable({{{{1, 0}, {0, 1}}}});  // [batch, heads, time, dim]
    const AttentionResult r = attention_with_weights(x, x, x);
    const Tensor ones = Tensor::of({{{{1, 1}, {0, 1}}}}, DType::f64);
    if (parts)
      check_values(test::replay_from(r.weights, ones)[r.context], {1, 1, 2, 2}, {1, 1, 0, 1});
    else
      BOOST_TEST(error_of([&] { test::replay_from(r.weights, ones); }) ==
                 "replay: result 1 of attention is inside the op, which cannot run from there; record with "
                 ".show_parts = true");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad
