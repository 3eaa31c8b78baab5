// A backward pass of single steps gives the gradients of one call, bit for bit, and shows them on the way.
#include <tapegrad/autograd/backward/checkpoint.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/transformer.h>

#include <tests/support/checkpoint_model.h>
#include <tests/support/stepping.h>
#include <filesystem>
#include <fstream>

namespace tapegrad {
using namespace nn;
namespace {

using test::check_stepping;

Tensor numbers(const Shape& shape, std::uint64_t key, DType dtype = DType::f64) {
  return checkpoint_tests::values(shape, key).to(dtype);
}

/// Encoder and decoder of one layer each, over padded sentences of unequal length.
struct Model {
  explicit Model(DType dtype, bool checkpointed = false)
      : params(5, dtype),
        transformer(params.root(), {.d_model = 8,
                                    .nhead = 2,
                                    .num_encoder_layers = 1,
                                    .num_decoder_layers = 1,
                                    .dim_feedforward = 12,
                                    .dropout = 0.3,
                                    .activation = Activation::gelu,
                                    .checkpoint = checkpointed}) {}
  Var loss(Tape& tape) const {
    const Var source = tape.variable(numbers({2, 5, 8}, 1, tape.dtype()));
    const Var target = tape.variable(numbers({2, 4, 8}, 2, tape.dtype()));
    const Mask mask = Mask::from_lengths(Tensor::ids({3, 5}));
    const Var y = transformer(source, target,
                              TransformerMasks{.source = mask, .target = Mask::causal(), .memory = mask});
    return sum(y * tape.constant(numbers({2, 4, 8}, 3, tape.dtype())));
  }
  ParameterStore params;
  Transformer transformer;
};

/// A primitive with a pullback in ops and no raw backward.
struct Cube final : Primitive {
  const char* name() const override { return "cube"; }
  Formula formula() const override { return "y = x^3;  dx = 3 x^2 dy"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    for (Index i = 0; i < out[0].size(); ++i) out[0].data<double>()[i] = std::pow(in[0].data<double>()[i], 3);
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {p.cotangents[0] * square(p.inputs[0]) * 3};
  }
};
Var cube(const Var& x) { return apply(Cube{}, {x}); }

}  // namespace

BOOST_AUTO_TEST_SUITE(steps)

BOOST_AUTO_TEST_CASE(transformer_in_every_form) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool checkpointed : {false, true})
      for (const int form : {0, 1, 2}) {
        const Model model(dtype, checkpointed);
        Tape tape({.dtype = dtype,
                   .training = true,
                   .fused = form != 1,
                   .show_parts = form == 2,
                   .seed = 4,
                   .step = 2});
        const int count = check_stepping(tape, model.loss(tape));
        BOOST_TEST(count > (checkpointed ? 3 : 20));
      }
}

BOOST_AUTO_TEST_CASE(transformer_whose_taps_are_completed) {
  for (const bool show_parts : {false, true}) {
    const Model model(DType::f64);
    Tape tape({.dtype = DType::f64, .training = true, .show_parts = show_parts});
    tape.observers().collect("*");
    const Var loss = model.loss(tape);
    BOOST_TEST(tape.observers().collected().size() >= 9U);
    check_stepping(tape, loss);
  }
}

BOOST_AUTO_TEST_CASE(parameters_of_another_dtype) {
  const Model model(DType::f32);
  Tape tape({.dtype = DType::f64});
  check_stepping(tape, model.loss(tape));
}

BOOST_AUTO_TEST_CASE(values_used_several_times) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(numbers({4, 4}, 1)), y = tape.variable(numbers({4, 4}, 2));
  const Var h = x * x + x;
  const Var both = matmul(h, h) + h * y + concat({slice(h, 0, 0, 2), slice(h, 0, 2, 2)}, 0);
  const Var unused = exp(h);
  check_stepping(tape, sum(both * both + h));
  BOOST_TEST(unused.needs_grad());
}

BOOST_AUTO_TEST_CASE(weights_of_which_a_part_is_read) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(numbers({5, 3}, 1)), w = tape.variable(numbers({8, 3}, 2)),
            b = tape.variable(numbers({8}, 3));
  const Var last = linear(x, rows(w, 5, 2), rows(b, 5, 2)), first = linear(x, rows(w, 1, 2), rows(b, 1, 2)),
            over = linear(-x, rows(w, 2, 4), rows(b, 2, 4));
  check_stepping(tape, sum(square(last)) + sum(square(first)) + sum(square(over)));
}

BOOST_AUTO_TEST_CASE(primitives_without_a_raw_backward) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(numbers({3}, 1));
  const Var y = cube(x);
  BOOST_TEST(check_stepping(tape, sum(y * cube(y) + y)) == 5);
}

BOOST_AUTO_TEST_CASE(several_outputs) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var q = tape.variable(numbers({1, 2, 3, 4}, 1)), k = tape.variable(numbers({1, 2, 5, 4}, 2));
    const AttentionResult r = attention_with_weights(q, k, k, {.scores = true});
    check_stepping(tape, sum(square(r.context)) + sum(square(r.weights)));
    check_stepping(tape, sum(square(r.weights)));  // one of them unreached
    check_stepping(tape, sum(square(r.scores)));
  }
}

BOOST_AUTO_TEST_CASE(checkpoints) {
  const checkpoint_tests::Model model;
  Tape tape({.training = true});
  const Var x = tape.variable(model.data);
  const Var h = checkpoint(model.first, x);
  const auto nested = [&model](const Var& v) { return checkpoint(model.second, v) * v; };
  const Var loss = sum(square(checkpoint(nested, h) + h));
  check_stepping(tape, loss);
}

BOOST_AUTO_TEST_CASE(another_cotangent) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(numbers({2, 3}, 1));
  check_stepping(tape, square(x) * x, {.cotangent = numbers({2, 3}, 2)});
}

BOOST_AUTO_TEST_CASE(rules_are_found_in_the_tree) {
  const Model model(DType::f64);
  Tape tape({.dtype = DType::f64, .training = true});
  const Var loss = model.loss(tape);
  std::vector<std::string> seen;
  for (const Step& s : backward_steps(loss)) {
    seen.push_back(fmt::format("{} {}", s.op, s.where.file_name()));
    std::ifstream file(std::filesystem::path(TAPEGRAD_SOURCE_DIR) / s.where.file_name());
    std::string line, next;
    for (std::uint_least32_t i = 0; i < s.where.line(); ++i) std::getline(file, line);
    while (next.find(';') == std::string::npos && std::getline(file, next))
      line += next;  // of several formulas
    BOOST_TEST(line.find(s.formula.substr(0, 12)) != std::string::npos,
               s.where.file_name() << ':' << s.where.line() << ": " << line);
  }
  for (const char* expected :
       {"attention autograd/ops/attention/attention.cpp", "add_layer_norm autograd/ops/fused/add_norm.cpp",
        "mul autograd/ops/arithmetic.cpp"})
    BOOST_TEST(std::count(seen.begin(), seen.end(), expected) > 0, expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
