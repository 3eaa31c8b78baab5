// Copies of weights that a tape keeps for products of few rows.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/fused/linear_activation.h>
#include <tapegrad/autograd/ops/linear.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

struct Weights {
  ParameterStore params;
  Parameter weight, bias;

  explicit Weights(DType dtype) : params(1, dtype) {
    const auto random = [](Tensor& x, RandomKey key) {
      convert(sample_values(x.shape(), -1, 1, key.value % 97).view(), x.view());
    };
    weight = params.root().parameter("weight", {19, 33}, random);
    bias = params.root().parameter("bias", {19}, random);
  }
  /// Everything that reads a weight.
  std::vector<Tensor> products(Tape& tape, Index rows) const {
    const Var x = tape.constant(sample_values({rows, 33}, -1, 1, 5).to(tape.dtype()));
    const Var w = tape[weight], b = tape[bias];
    std::vector<Tensor> all;
    for (const Var& y :
         {linear(x, w, b), linear(x, w), linear_rows(x, w, b, 4, 11),
          linear_activation(x, {w, b}, Activation::relu), linear_activation(x, {w, b}, Activation::gelu)})
      all.push_back(y.value().clone());
    return all;
  }
};

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(identical(a[i], b[i]), "product " << i);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transposed_weights)

BOOST_AUTO_TEST_CASE(products_have_the_same_bits) {
  for (const DType stored : {DType::f32, DType::f64})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Weights weights(stored);
      Tape plain({.dtype = dtype, .record = false}), copying({.dtype = dtype, .record = false});
      copying.set_transposed_weights(true);
      for (const Index rows : {1, 2, 5, 40}) {
        check_same(weights.products(copying, rows), weights.products(plain, rows));
        copying.reset();
      }
    }
}

BOOST_AUTO_TEST_CASE(a_copy_follows_its_parameter) {
  const Weights weights(DType::f32);
  Tape plain({.record = false}), copying({.record = false});
  copying.set_transposed_weights(true);
  BOOST_TEST(copying.transposed(copying[weights.weight]) == copying.transposed(copying[weights.weight]));
  const std::vector<Tensor> before = weights.products(copying, 2);
  weights.weight.update([](Tensor& w) { w.array<float>() += 1; });
  const std::vector<Tensor> after = weights.products(copying, 2);
  BOOST_TEST(!identical(before[0], after[0]));
  check_same(after, weights.products(plain, 2));
  copying.shrink();
  check_same(weights.products(copying, 2), after);
}

BOOST_AUTO_TEST_CASE(only_parameters_of_this_tape_and_only_on_request) {
  const Weights weights(DType::f32);
  Tape tape({.record = false}), other({.record = false}), recording;
  BOOST_TEST(tape.transposed(tape[weights.weight]) == nullptr);
  recording.set_transposed_weights(true);
  BOOST_TEST(recording.transposed(recording[weights.weight]) == nullptr);
  tape.set_transposed_weights(true);
  BOOST_TEST(tape.transposed(tape[weights.weight]) != nullptr);
  BOOST_TEST(tape.transposed(tape[weights.bias]) == nullptr);
  BOOST_TEST(tape.transposed(tape.constant({{1, 2}, {3, 4}})) == nullptr);
  const Var x = tape.constant(Tensor({1, 33}));
  BOOST_TEST(
      test::error_of([&] { linear(x, other[weights.weight]); }) ==
      "linear: operand 1 of shape [19, 33] was recorded on another tape; all operands of an op must be "
      "on one tape");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
