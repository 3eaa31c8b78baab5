// A tape with .check names the first op, forward or backward, that makes a NaN or an infinity.
#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/backward/steps.h>
#include <tapegrad/autograd/observe/check.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/checkpoint_model.h>
#include <tests/support/errors.h>

namespace tapegrad {
using namespace nn;
namespace {

using checkpoint_tests::values;

/// The text of a NonFiniteError alone.
template <class Body>
std::string non_finite(Body&& body) {
  try {
    body();
  } catch (const NonFiniteError& error) {
    return error.what();
  } catch (const Error& error) {
    return fmt::format("another error: {}", error.what());
  }
  return "no error";
}

struct Logarithm : Layer<Logarithm> {
  explicit Logarithm(const Scope& s)
      : Layer(s), shift(s.parameter("shift", {2}, [](Tensor& x, RandomKey) { x.fill(0); })) {}
  Var forward(const Var& x) const { return log(x + x.tape()[shift]); }
  Parameter shift;
};

const std::vector<TapeOptions> both = {{.dtype = DType::f32, .check = true},
                                       {.dtype = DType::f64, .check = true}};

}  // namespace

BOOST_AUTO_TEST_SUITE(check)

BOOST_AUTO_TEST_CASE(the_first_op_forward) {
  for (const TapeOptions& options : both) {
    Tape tape(options);
    const Var x = tape.variable({{1, 0}, {2, 3}});
    const std::size_t size = tape.size(), bytes = tape.bytes();
    BOOST_TEST(non_finite([&] { log(x); }) ==
               "check: log made -inf at [0, 1] in result 0, on tape position 1; input 0 [2, 2] in [0, 3]");
    BOOST_TEST(non_finite([&] { exp(x * 1000); }) ==
               "check: exp made +inf at [0, 0] in result 0, on tape position 2; input 0 [2, 2] in [0, 3000]");
    const Var zero = x - x;
    BOOST_TEST(non_finite([&] { zero / zero; }).starts_with("check: div made NaN at [0, 0] in result 0, on"));
    const Var total = sum(zero);
    BOOST_TEST(non_finite([&] { log(total); }) ==
               "check: log made -inf in result 0, on tape position 4; input 0 [] in [0, 0]");
    tape.reset();
    BOOST_TEST(tape.size() + bytes >= size);
    const Var y = tape.variable({1, 2});
    BOOST_TEST(tape.backward(sum(log(y)))[y].to_vector()[1] == 0.5);  // as good as new
  }
}

BOOST_AUTO_TEST_CASE(with_the_path_of_the_layer) {
  ParameterStore params;
  const Logarithm layer(params.root() / "block" / "log");
  Tape tape({.check = true});
  const Var x = tape.variable({1, 0});
  BOOST_TEST(non_finite([&] { layer(x); }) ==
             "block.log: check: log made -inf at [1] in result 0, on tape position 3; input 0 [2] in [0, 1]");
  layer.shift.update([](Tensor& s) { s.data<float>()[0] = NAN; });
  BOOST_TEST(non_finite([&] { layer(x); }) ==
             "block.log: check: add was given NaN at [0] in input 1, parameter 'block.log.shift', on tape "
             "position 4; input 0 [2] in [0, 1]; input 1 [2] in [0, 0], 1 NaN");
}

BOOST_AUTO_TEST_CASE(leaves_that_were_given) {
  for (const TapeOptions& options : both) {
    Tape tape(options);
    const Var x = tape.variable({1, 2}), c = tape.constant({NAN, -INFINITY}), nothing = tape.full({}, NAN);
    BOOST_TEST(
        non_finite([&] { x* c; }) ==
        "check: mul was given NaN at [0] in input 1, on tape position 3; input 0 [2] in [1, 2]; input 1 "
        "[2] nothing finite, 1 NaN, 1 infinite");
    BOOST_TEST(non_finite([&] { exp(nothing); }) ==
               "check: exp was given NaN in input 0, on tape position 3; input 0 [] nothing finite, 1 NaN");
  }
}

BOOST_AUTO_TEST_CASE(the_first_op_backward) {
  for (const TapeOptions& options : both)
    for (const bool consume : {false, true}) {
      Tape tape(options);
      const Var x = tape.variable({4, 0}), y = sqrt(x), loss = sum(square(y + 1));
      const std::size_t size = tape.size(), bytes = tape.bytes();
      const std::string expected =
          "check: the backward of sqrt made +inf at [1] in the gradient of input 0, on tape position 1; "
          "output gradient 0 [2] in [2, 6]; input 0 [2] in [0, 4]";
      for (int twice = 0; twice < 2; ++twice)
        BOOST_TEST(non_finite([&] { tape.backward(loss, {.consume = consume}); }) == expected);
      BOOST_TEST(tape.size() == size);
      BOOST_TEST(tape.bytes() == bytes);
      BOOST_TEST(tape.backward(sum(square(x)))[x].to_vector()[0] == 8);  // of another loss
      BackwardSteps steps = backward_steps(loss);
      BOOST_TEST(non_finite([&] { steps.gradients(); }) == expected);
      BackwardSteps changed = backward_steps(loss, {.intervene = [](Step&) {}});
      BOOST_TEST(non_finite([&] { changed.gradients(); }) == expected);
    }
}

BOOST_AUTO_TEST_CASE(backward_with_path_and_in_checkpoints) {
  struct Root : Layer<Root> {
    explicit Root(const Scope& s) : Layer(s) {}
    Var forward(const Var& x) const { return sqrt(x) * 3.0; }
  };
  ParameterStore params;
  const Root layer(params.root() / "root");
  for (const bool checkpointed : {false, true}) {
    Tape tape({.dtype = DType::f64, .check = true});
    const Var x = tape.variable({0, 1});
    const Var loss = sum(checkpointed ? checkpoint(layer, x) : layer(x));
    const std::string text = non_finite([&] { tape.backward(loss); });
    BOOST_TEST(
        text.starts_with("root: check: the backward of sqrt made +inf at [0] in the gradient of input"),
        text);
    BOOST_TEST(text.ends_with("output gradient 0 [2] in [3, 3]; input 0 [2] in [0, 1]"), text);
  }
}

BOOST_AUTO_TEST_CASE(passes_that_are_recorded) {
  Tape tape({.dtype = DType::f64, .check = true});
  const Var x = tape.variable({4, 0}), loss = sum(sqrt(x));
  const std::size_t size = tape.size();
  const std::string text = non_finite([&] { tape.backward(loss, {.create_graph = true}); });
  BOOST_TEST(text.starts_with("check: in the backward of sqrt, on tape position 1: check: "), text);
  BOOST_TEST(tape.size() == size);
}

BOOST_AUTO_TEST_CASE(the_cotangent_of_the_loss) {
  Tape tape({.dtype = DType::f64, .check = true});
  const Var y = exp(tape.variable({1, 2}));
  BOOST_TEST(non_finite([&] {
               tape.backward(y, {.cotangent = Tensor::of({1, INFINITY}, DType::f64)});
             }) ==
             "check: backward was given +inf at [1] in the cotangent of the loss, [2] in [1, 1], 1 infinite");
}

BOOST_AUTO_TEST_CASE(tapes_that_do_not_record) {
  Tape tape({.check = true, .record = false});
  const Var x = tape.constant({0, 1});
  BOOST_TEST(non_finite([&] { log(x); }) ==
             "check: log made -inf at [0] in result 0, on tape position 1; input 0 [2] in [0, 1]");
}

BOOST_AUTO_TEST_CASE(finite_runs_are_as_without) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int form : {0, 1, 2})
      for (const bool checkpointed : {false, true}) {
        ParameterStore params(3, dtype);
        const Transformer model(params.root(), {.d_model = 8,
                                                .nhead = 2,
                                                .num_encoder_layers = 1,
                                                .num_decoder_layers = 1,
                                                .dim_feedforward = 12,
                                                .dropout = 0.3,
                                                .checkpoint = checkpointed});
        std::vector<Tensor> found[2];
        for (const bool check : {false, true}) {
          Tape tape({.dtype = dtype,
                     .training = true,
                     .fused = form != 1,
                     .show_parts = form == 2,
                     .check = check,
                     .seed = 8});
          tape.observers().collect("*");
          const Var x = tape.variable(values({2, 4, 8}, 1).to(dtype));
          const Mask none = Mask::from_lengths(Tensor::ids({0, 3}));  // rows without any key
          const Var y =
              model(x, x * 2.0, TransformerMasks{.source = none, .target = Mask::causal(-1), .memory = none});
          const Gradients g = tape.backward(sum(square(y) * 0.5));
          found[check] = {y.value().clone(), g[x].clone()};
          for (const Gradients::Entry& entry : g.parameters("test"))
            found[check].push_back(g[*entry.parameter].clone());
        }
        checkpoint_tests::check_identical(found[1], found[0]);
      }
}

BOOST_AUTO_TEST_CASE(memory_that_holds_nothing_is_not_read) {
  Tape tape({.check = true});
  const Var zeros = tape.variable(Tensor({64}, DType::f32)), bad = sum(sqrt(zeros));
  BOOST_TEST(non_finite([&] { tape.backward(bad); }) != "no error");  // the arena now holds infinities
  tape.reset();
  const Var x = tape.variable(values({2, 3}, 1)), w = tape.variable(values({9, 3}, 2));
  const Var last = linear(x, rows(w, 6, 2)), first = linear(x, rows(w, 0, 1));
  const Var loss = sum(last) + sum(first);
  const Gradients g = tape.backward(loss);
  for (const double v : g[w].to_vector()) BOOST_TEST(std::isfinite(v));
}

BOOST_AUTO_TEST_CASE(a_definition_is_the_op) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused, .check = true});
    const Var x = tape.variable({1, 2, NAN});
    BOOST_TEST(
        non_finite([&] { log_softmax(x); }) ==
        "check: log_softmax was given NaN at [2] in input 0, on tape position 1; input 0 [3] in [1, 2], 1 "
        "NaN");
    const Var wide = tape.variable({1e308, -1e308});
    BOOST_TEST(
        non_finite([&] { log_softmax(wide); }).starts_with("check: log_softmax made -inf at [1] in res"));
    BOOST_TEST(tape.size() == 2U);
  }
}

BOOST_AUTO_TEST_CASE(ranges) {
  BOOST_TEST(range_text(Tensor::of({{1, -2.5}, {3, 0}}).view()) == "[2, 2] in [-2.5, 3]");
  BOOST_TEST(range_text(Tensor::of({1, NAN, NAN, INFINITY}).view()) == "[4] in [1, 1], 2 NaN, 1 infinite");
  BOOST_TEST(range_text(Tensor::of({-INFINITY}).view()) == "[1] nothing finite, 1 infinite");
  BOOST_TEST(range_text(Tensor({0, 3}).view()) == "[0, 3] f32");
  BOOST_TEST(range_text(Tensor::ids({1, 2}).view()) == "[2] i64");
  BOOST_TEST(first_non_finite(Tensor::of({1, 2, INFINITY, NAN}, DType::f64).view()) == 2);
  BOOST_TEST(first_non_finite(Tensor::ids({1, 2}).view()) == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
