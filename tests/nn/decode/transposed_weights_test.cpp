// Copies of weights that decoding keeps for products of few rows.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/activation.h>
#include <tapegrad/autograd/ops/linear.h>
#include <tapegrad/nn/decode/transposed_weights.h>
#include <tapegrad/nn/init.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad::nn {
namespace {

struct Layers {
  ParameterStore params;
  Linear with_bias, without;

  explicit Layers(DType dtype)
      : params(1, dtype),
        with_bias(params.root() / "a", 33, 19, {.bias_init = fan_in_uniform(33)}),
        without(params.root() / "b", 33, 19, {.bias = false}) {}

  Var x(Tape& tape, Index rows) const {
    return tape.constant(sample_values({rows, 33}, -1, 1, 5).to(tape.dtype()));
  }
  std::vector<Tensor> products(Tape& tape, Index rows) const {
    const Var in = x(tape, rows), w = tape[with_bias.weight], b = tape[with_bias.bias];
    std::vector<Tensor> all;
    for (const Var& y :
         {with_bias(in), without(in), linear(in, tapegrad::rows(w, 4, 11), tapegrad::rows(b, 4, 11)),
          relu(with_bias(in)), gelu(with_bias(in))})
      all.push_back(y.value().clone());
    return all;
  }
  std::vector<Tensor> products(Tape& tape, Index rows, TransposedWeights& copies) const {
    const Var in = x(tape, rows);
    std::vector<Tensor> all;
    for (const Var& y :
         {copies.linear(in, with_bias), copies.linear(in, without),
          copies.linear(in, with_bias.weight, with_bias.bias, 4, 11),
          copies.linear(in, with_bias, Activation::relu), copies.linear(in, with_bias, Activation::gelu)})
      all.push_back(y.value().clone());
    return all;
  }
};

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(identical(a[i], b[i]), "product " << i);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transposed_weights)

BOOST_AUTO_TEST_CASE(products_have_the_bits_of_linear) {
  for (const DType stored : {DType::f32, DType::f64})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Layers layers(stored);
      TransposedWeights copies;
      Tape tape({.dtype = dtype, .record = false});
      for (const Index rows : {1, 2, 5, 40}) {
        check_same(layers.products(tape, rows, copies), layers.products(tape, rows));
        tape.reset();
      }
    }
}

BOOST_AUTO_TEST_CASE(a_copy_follows_its_parameter) {
  const Layers layers(DType::f32);
  TransposedWeights copies;
  Tape tape({.record = false});
  BOOST_TEST(copies(tape, layers.without.weight).data<float>() ==
             copies(tape, layers.without.weight).data<float>());
  const std::vector<Tensor> before = layers.products(tape, 2, copies);
  layers.with_bias.weight.update([](Tensor& w) { w.array<float>() += 1; });
  const std::vector<Tensor> after = layers.products(tape, 2, copies);
  BOOST_TEST(!identical(before[0], after[0]));
  check_same(after, layers.products(tape, 2));
  Tape wide({.dtype = DType::f64, .record = false});
  check_same(layers.products(wide, 2, copies), layers.products(wide, 2));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Layers layers(DType::f32);
  TransposedWeights copies;
  Tape tape({.record = false});
  BOOST_TEST(
      test::error_of([&] {
        copies.linear(tape.constant(Tensor({1, 32})), layers.without);
      }) ==
      "transposed_linear: x [1, 32] and a transposed weight [33, 19] do not fit: x's last axis must be 33");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad::nn
