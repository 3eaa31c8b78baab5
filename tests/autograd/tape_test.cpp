#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/tape.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <stdexcept>
#include <thread>

namespace tapegrad {
namespace {

using test::error_of;

/// y = x, but it can be told to throw: in its forward, or in its pullback.
struct Fragile final : Primitive {
  bool in_forward, in_pullback;
  Fragile(bool forward_throws, bool pullback_throws)
      : in_forward(forward_throws), in_pullback(pullback_throws) {}
  const char* name() const override { return "fragile"; }
  Formula formula() const override { return "y = x;  dx = dy"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    if (in_forward) throw std::runtime_error("forward broke");
    convert(in[0], out[0]);
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var result = affine(p.cotangents[0], 1);
    if (in_pullback) throw std::runtime_error("pullback broke");
    return {result};
  }
};

/// An op whose pullback returns no gradient, or one of another shape.
struct Misshapen final : Primitive {
  bool none;
  explicit Misshapen(bool returns_none) : none(returns_none) {}
  const char* name() const override { return "misshapen"; }
  Formula formula() const override { return "y = x"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override { convert(in[0], out[0]); }
  VarList pullback(const PullbackArgs& p) const override {
    return none ? VarList{} : VarList{p.cotangents[0].tape().full({3}, 1)};
  }
};

std::string gone(const char* op) {
  return fmt::format("{}: the tape on which this value was recorded is gone", op);
}
std::string stale(const char* op) {
  return fmt::format(
      "{}: this value is stale, its tape was reset (or rewound) after it was recorded; record it again", op);
}
std::string consumed(const char* op) {
  return fmt::format(
      "{}: this tape was consumed by backward(loss, {{.consume = true}}); only the loss and the gradients "
      "are left. Call "
      "reset() and record again, or leave out .consume",
      op);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tape)

BOOST_AUTO_TEST_CASE(values_are_recorded_and_printed) {
  Tape tape;
  const Var x = tape.variable({{1, 2}, {3, 4}}), row = tape.constant({10, 20});
  const Var y = 2 * (x + row) - 1;
  BOOST_TEST(fmt::format("{}", y) == "[2, 2] f32 [[21, 43], [25, 47]]");
  BOOST_TEST(fmt::format("{}", (1 - x) / 2 * x + -x / x) == "[2, 2] f32 [[-1, -2], [-4, -7]]");
  BOOST_TEST((3 / tape.variable(2)).item() == 1.5);
  BOOST_TEST(y.needs_grad());
  BOOST_TEST(!(row * 2).needs_grad());
  BOOST_TEST(fmt::format("{}", tape.variable({{1, 2}}).shape()) == "[1, 2]");
  BOOST_TEST(fmt::format("{}", tape.constant({5}).shape()) == "[1]");
  BOOST_TEST(&y.tape() == &tape);
}

BOOST_AUTO_TEST_CASE(braces_of_any_rank) {
  Tape tape;
  const auto shape = [](const Var& x) { return fmt::format("{}", x.shape()); };
  BOOST_TEST(shape(tape.constant(7)) == "[]");
  BOOST_TEST(shape(tape.variable({7})) == "[1]");
  BOOST_TEST(shape(tape.constant({{1, 2}})) == "[1, 2]");  // one nested row
  BOOST_TEST(shape(tape.variable({{7}})) == "[1, 1]");
  BOOST_TEST(shape(tape.variable({{1}, {2}})) == "[2, 1]");
  BOOST_TEST(shape(tape.constant({{{1, 2, 3}}})) == "[1, 1, 3]");
  BOOST_TEST(shape(tape.constant({{{1}, {2}}, {{3}, {4}}})) == "[2, 2, 1]");
  BOOST_TEST(shape(tape.constant({})) == "[0]");
  BOOST_TEST(fmt::format("{}", Tensor::of({{1, 2}}).shape()) == "[1, 2]");
  BOOST_TEST(fmt::format("{}", Tensor::ids({{7}}).shape()) == "[1, 1]");
  const Tensor made = Tensor::of({1, 2});
  BOOST_TEST(shape(tape.constant(made)) == "[2]");
  BOOST_TEST(error_of([&] {
               tape.constant({{1, 2}, {3}});
             }) == "tensor: nested braces of unequal shapes [2] and [1]");
}

BOOST_AUTO_TEST_CASE(a_copy_is_recorded_and_cannot_be_written) {
  Tape tape;
  Tensor data = Tensor::of({1, 2});
  const Var x = tape.variable(data);
  data.fill(9);
  Tensor seen = x.value();
  BOOST_TEST(seen.at({1}) == 2);
  const std::string read_only =
      "tensor: recorded values are read-only; write to a clone() of this [2] tensor";
  BOOST_TEST(error_of([&] { seen.data<float>(); }) == read_only);
  BOOST_TEST(error_of([&] { seen.fill(0); }) == read_only);
  BOOST_TEST(error_of([&] { seen.matrix<float>(); }) == read_only);
  BOOST_TEST(error_of([&] {
               seen.reshaped({2, 1}).fill(0);
             }) == "tensor: recorded values are read-only; write to a clone() of this [2, 1] tensor");
  seen.clone().fill(0);
  BOOST_TEST(x.value().at({1}) == 2);
}

BOOST_AUTO_TEST_CASE(reset_makes_handles_stale) {
  Tape tape;
  const Var x = tape.variable({1, 2}), y = x * x;
  const Tensor value = y.value(), own = y.value().clone();
  const Gradients g = tape.backward(y, {.cotangent = Tensor::of({1, 1})});
  const Tensor dx = g[x];
  BOOST_TEST(dx.at({1}) == 4);
  tape.reset();
  BOOST_TEST(tape.size() == 0u);
  const Var again = tape.variable({1, 2});  // stands where x stood
  BOOST_TEST(error_of([&] { x.value(); }) == stale("value"));
  BOOST_TEST(error_of([&] { x.shape(); }) == stale("shape"));
  BOOST_TEST(error_of([&] { add(x, again); }) == stale("add"));
  BOOST_TEST(error_of([&] { mul(again, x); }) == stale("mul"));
  BOOST_TEST(error_of([&] { tape.backward(y); }) == stale("backward"));
  BOOST_TEST(error_of([&] { value.to_vector(); }) ==
             "tensor: this [2] tensor is stale, its tape was reset since; clone() it to keep the values");
  BOOST_TEST(error_of([&] { dx.to_vector(); }) ==
             "tensor: this [2] tensor is stale, its tape was reset since; clone() it to keep the values");
  BOOST_TEST(
      error_of([&] { g[again]; }) ==
      "gradients: stale Gradients, their tape was reset (or a later step began) after the backward pass");
  BOOST_TEST(error_of([&] { g.parameters("sgd"); }) ==
             "sgd: stale Gradients, their tape was reset (or a later step began) after the backward pass");
  BOOST_TEST(own.at({1}) == 4);
}

BOOST_AUTO_TEST_CASE(handles_outlive_the_tape_and_say_so) {
  std::optional<Tape> tape;
  tape.emplace();
  const Var x = tape->variable(2), y = x * x;
  const Tensor value = y.value();
  const Gradients g = tape->backward(y);
  const Tensor dx = g[x];
  tape.reset();
  BOOST_TEST(error_of([&] { x.value(); }) == gone("value"));
  BOOST_TEST(error_of([&] { x + 1; }) == gone("affine"));
  BOOST_TEST(error_of([&] { value.item(); }) ==
             "tensor: the tape that owned this [] tensor is gone; clone() it to keep the values");
  BOOST_TEST(error_of([&] { dx.item(); }) ==
             "tensor: the tape that owned this [] tensor is gone; clone() it to keep the values");
  BOOST_TEST(error_of([&] { g.contains(x); }) == "gradients: stale Gradients, their tape is gone");
  Tape next;  // takes over what the first left behind
  const Var z = next.variable(3);
  BOOST_CHECK_THROW(x.value(), Error);
  BOOST_CHECK_THROW(add(x, z), Error);
  BOOST_CHECK_THROW(value.item(), Error);
  BOOST_CHECK_THROW(dx.item(), Error);
  BOOST_CHECK_THROW(g.contains(z), Error);
}

BOOST_AUTO_TEST_CASE(empty_and_foreign_values_are_refused) {
  Tape tape, other;
  const Var x = tape.variable({1, 2}), foreign = other.variable({1, 2});
  BOOST_TEST(error_of([&] { add(x, Var()); }) == "add: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] { Var() * 2; }) == "affine: an empty Var; it was never recorded on a tape");
  BOOST_TEST(
      error_of([&] { add(x, foreign); }) ==
      "add: operand 1 of shape [2] was recorded on another tape; all operands of an op must be on one tape");
  BOOST_TEST(error_of([&] { tape.backward(foreign); }) ==
             "backward: the loss of shape [2] was recorded on another tape");
  const Gradients g = other.backward(foreign, {.cotangent = Tensor::of({1, 1})});
  BOOST_TEST(error_of([&] { g[x]; }) == "gradients: a value of shape [2] that was recorded on another tape");
  BOOST_TEST(error_of([&] { Gradients()[x]; }) == "gradients: empty Gradients; they come from backward()");
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_CASE(rewind_drops_only_what_came_later) {
  Tape tape;
  const Var x = tape.variable({1, 2});
  const Tape::Mark mark = tape.mark();
  const std::size_t bytes = tape.bytes();
  const Var y = x * 2;
  const Tensor value = y.value();
  const Gradients g = tape.backward(y, {.cotangent = Tensor::of({1, 1})});
  tape.rewind(mark);
  const Var z = tape.constant({{7, 8, 9}});  // stands where y stood
  BOOST_TEST(x.value().at({1}) == 2);
  BOOST_TEST(error_of([&] { y.value(); }) == stale("value"));
  BOOST_TEST(error_of([&] { value.to_vector(); }) ==
             "tensor: this [2] tensor is stale, its tape was reset since; clone() it to keep the values");
  BOOST_TEST(
      error_of([&] { g[x]; }) ==
      "gradients: stale Gradients, their tape was reset (or a later step began) after the backward pass");
  BOOST_TEST(z.value().at({0, 2}) == 9);
  tape.reset();
  for (int i = 0; i < 100; ++i) {
    const Tape::Mark step = tape.mark();
    tape.full({1000}, 1) * 2;
    tape.rewind(step);
  }
  BOOST_TEST(tape.bytes() < bytes + 16384);
}

BOOST_AUTO_TEST_CASE(rewind_refuses_marks_that_no_longer_name_a_place) {
  const std::string reset = "rewind: this mark is outdated, the tape was reset after it was made";
  const std::string earlier =
      "rewind: this mark is outdated, the tape was rewound to an earlier one after it was made";
  Tape tape, other;
  const Tape::Mark start = tape.mark();
  const Var x = tape.variable({1, 2});
  const Tape::Mark late = tape.mark();
  BOOST_TEST(error_of([&] { other.rewind(late); }) == "rewind: this mark was made on another tape");
  BOOST_TEST(error_of([&] { tape.rewind(Tape::Mark{}); }) == "rewind: this mark was made on another tape");
  tape.rewind(late);
  tape.rewind(start);
  BOOST_TEST(error_of([&] { tape.rewind(late); }) == earlier);
  const Var y = tape.variable({3, 4});  // as large as what the mark was behind
  BOOST_TEST(error_of([&] { tape.rewind(late); }) == earlier);
  BOOST_TEST(y.value().at({1}) == 4);
  const Tape::Mark last = tape.mark();
  tape.reset();
  tape.shrink();
  BOOST_TEST(error_of([&] { tape.rewind(last); }) == reset);
  BOOST_TEST(error_of([&] { tape.rewind(start); }) == reset);
  BOOST_TEST(error_of([&] { x.value(); }) == stale("value"));
  BOOST_TEST(tape.size() == 0u);
}

BOOST_AUTO_TEST_CASE(rewind_drops_the_passes_and_taps_of_what_came_later) {
  const std::string gone_pass =
      "gradients: stale Gradients, their tape was reset (or a later step began) after the backward pass";
  Tape tape;
  const Var x = tape.variable(3), y = x * x;
  tape.observers().add("layer", "first", y);
  const Gradients before = tape.backward(y);
  const Tape::Mark mark = tape.mark();
  const std::size_t bytes = tape.bytes();
  for (const bool create_graph : {true, false}) {
    const Var z = y * x;
    tape.observers().add("layer", "second", z);
    const Gradients after = tape.backward(z, {.create_graph = create_graph});
    BOOST_TEST(after[x].item() == 27);
    tape.rewind(mark);
    BOOST_TEST(error_of([&] { after[x]; }) == gone_pass);
    BOOST_TEST(error_of([&] { after.parameters("step"); }) ==
               "step: stale Gradients, their tape was reset (or a later step began) after the backward pass");
    BOOST_TEST(before[x].item() == 6);
    BOOST_TEST(tape.observers().collected().size() == 1u);
    BOOST_TEST(tape.bytes() == bytes);
  }
  BOOST_TEST(tape.observers().collected()[0].value.item() == 9);
}

BOOST_AUTO_TEST_CASE(a_consumed_tape_answers_for_its_loss_and_gradients_only) {
  Tape tape;
  const Var x = tape.variable(3), y = x * x, loss = y + 1;
  const Tensor value = y.value();
  const Gradients g = tape.backward(loss, {.consume = true});
  BOOST_TEST(loss.item() == 10);
  BOOST_TEST(g[x].item() == 6);
  BOOST_TEST(error_of([&] { y.value(); }) == consumed("value"));
  BOOST_TEST(error_of([&] { value.item(); }) == consumed("tensor"));
  BOOST_TEST(error_of([&] { x + 1; }) == consumed("affine"));
  BOOST_TEST(error_of([&] { tape.constant(1); }) == consumed("constant"));
  BOOST_TEST(error_of([&] { tape.variable(1); }) == consumed("variable"));
  BOOST_TEST(error_of([&] { tape.full({}, 1); }) == consumed("full"));
  BOOST_TEST(error_of([&] { tape.backward(loss); }) == consumed("backward"));
  BOOST_TEST(error_of([&] { tape.backward(loss, {.create_graph = true}); }) == consumed("backward"));
  tape.reset();
  BOOST_TEST((tape.variable(2) * 2).item() == 4);
}

BOOST_AUTO_TEST_CASE(a_throwing_op_leaves_the_tape_as_it_was) {
  Tape tape;
  const Var x = tape.variable({1, 2}), y = x * 3;
  const std::size_t nodes = tape.size(), bytes = tape.bytes();
  BOOST_CHECK_THROW(apply(Fragile{true, false}, {y}), std::runtime_error);
  const Tape::Mark mark = tape.mark();
  BOOST_TEST(
      error_of([&] {
        add(y, tape.constant({1, 2, 3}));
      }) == "add: shapes [2] and [3] do not broadcast; aligned at the last axis, extents must be equal or 1");
  tape.rewind(mark);  // the constant
  BOOST_TEST(tape.size() == nodes);
  const Var z = apply(Fragile{false, true}, {y});
  const std::size_t before = tape.size();
  const Tensor ones = Tensor::of({1, 1});
  BOOST_CHECK_THROW(tape.backward(z, {.cotangent = ones}), std::runtime_error);
  BOOST_CHECK_THROW(tape.backward(z, {.consume = true, .cotangent = ones}), std::runtime_error);
  BOOST_CHECK_THROW(tape.backward(z, {.create_graph = true, .cotangent = ones}), std::runtime_error);
  BOOST_TEST(tape.size() == before);
  BOOST_TEST(tape.options().record);
  BOOST_TEST(bytes < tape.bytes());
  BOOST_TEST(tape.backward(y, {.cotangent = ones})[x].at({1}) == 3);
  const Var good = apply(Fragile{false, false}, {y});
  BOOST_TEST(tape.backward(good, {.cotangent = ones})[x].at({0}) == 3);
}

BOOST_AUTO_TEST_CASE(a_pullback_that_does_not_fit_is_named) {
  Tape tape;
  const Var x = tape.variable({1, 2}), ones = tape.constant({1, 1});
  const auto backward = [&](bool none) {
    tape.backward(apply(Misshapen{none}, {x}), {.cotangent = ones.value()});
  };
  BOOST_TEST(error_of([&] { backward(true); }) ==
             "misshapen: its pullback returned 0 gradients for 1 inputs");
  BOOST_TEST(error_of([&] { backward(false); }) ==
             "misshapen: its pullback gave input 0 of shape [2] a gradient of shape [3]");
}

BOOST_AUTO_TEST_CASE(a_tape_computes_in_one_dtype) {
  Tape tape({.dtype = DType::f64});
  BOOST_TEST(
      error_of([&] {
        tape.constant(Tensor::of({1, 2}));
      }) ==
      "constant: a f32 tensor of shape [2] on a tape that computes in f64; convert it with to(DType::f64)");
  BOOST_TEST(
      error_of([&] {
        tape.variable(Tensor::ids({1, 2}));
      }) ==
      "variable: a i64 tensor of shape [2] on a tape that computes in f64; convert it with to(DType::f64)");
  BOOST_TEST((tape.variable({1, 2}).dtype() == DType::f64));
  BOOST_TEST(error_of([] { Tape({.dtype = DType::i64}); }) == "Tape: computes in f32 or f64, got i64");
}

BOOST_AUTO_TEST_CASE(a_tape_that_does_not_record_gives_values_but_no_gradients) {
  Tape tape({.record = false});
  const Var x = tape.variable(2), y = x * x;
  BOOST_TEST(y.item() == 4);
  BOOST_TEST(!y.needs_grad());
  BOOST_TEST(error_of([&] { tape.backward(y); }) == "backward: this tape does not record (.record = false)");
}

BOOST_AUTO_TEST_CASE(tapes_interleave_and_threads_keep_to_their_own) {
  Tape a, b({.dtype = DType::f64});
  const Var x = a.variable(2), u = b.variable(3);
  const Var y = x * x, v = u * u * u;
  BOOST_TEST(a.backward(y)[x].item() == 4);
  BOOST_TEST(b.backward(v)[u].item() == 27);
  std::vector<double> results(8);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < results.size(); ++t)
      threads.emplace_back([t, &results] {
        for (int round = 0; round < 50; ++round) {
          Tape tape;
          const Var base = tape.variable(static_cast<double>(t));
          Var z = base;
          for (int i = 0; i < 20; ++i) z = z + base * base;
          results[t] = tape.backward(z)[base].item();
        }
      });
  }
  for (std::size_t t = 0; t < results.size(); ++t)
    BOOST_TEST(results[t] == 1 + 40.0 * static_cast<double>(t));
}

BOOST_AUTO_TEST_CASE(memory_is_reused_and_given_back) {
  Tape tape;
  const auto step = [&] {
    tape.reset();
    const Var x = tape.variable(Tensor({100, 100}));
    tape.backward(sum_to(x * x, {}), {.consume = true});
    return tape.bytes();
  };
  const std::size_t once = step();
  for (int i = 0; i < 20; ++i) BOOST_TEST(step() == once);
  BOOST_TEST(tape.peak_bytes() < 4 * once);
  tape.reset();
  tape.shrink();
  BOOST_TEST(tape.peak_bytes() == 0u);
  BOOST_TEST(step() == once);
}

BOOST_AUTO_TEST_CASE(draws_start_again_with_the_step) {
  Tape tape({.seed = 5});
  const RandomKey first = tape.next_draw(), second = tape.next_draw();
  BOOST_TEST(random_bits(first, 0) != random_bits(second, 0));
  tape.reset();
  BOOST_TEST(random_bits(tape.next_draw(), 0) == random_bits(first, 0));
  tape.reset(1);
  BOOST_TEST(random_bits(tape.next_draw(), 0) != random_bits(first, 0));
  tape.reset(0, 1);
  BOOST_TEST(random_bits(tape.next_draw(), 0) != random_bits(first, 0));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
