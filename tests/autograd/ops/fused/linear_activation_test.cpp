#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/activation.h>
#include <tapegrad/autograd/ops/fused/linear_activation.h>
#include <tapegrad/autograd/ops/linear.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

using namespace tapegrad;

namespace {
auto says(std::string_view expected) {
  return [expected](const Error& error) {
    BOOST_TEST(error.what() == expected);
    return true;
  };
}
Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }

/// y, dx, dW and db of `call`.
template <class Call>
std::vector<Tensor> results(DType dtype, const std::vector<Tensor>& inputs, bool consume, const Call& call) {
  Tape tape({.dtype = dtype});
  std::vector<Var> in;
  for (const Tensor& x : inputs) in.push_back(tape.variable(x.to(dtype)));
  const Var y = call(in);
  std::vector<Tensor> all = {y.value().clone()};
  const Gradients g =
      tape.backward(y, {.consume = consume, .cotangent = sample_values(y.shape(), -1, 1, 9).to(dtype)});
  for (const Var& x : in) all.push_back(g[x].clone());
  return all;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(linear_activation_op)

BOOST_AUTO_TEST_CASE(relu_by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(f64({{1, 2}, {-1, 1}})), w = tape.variable(f64({{3, -1}, {-2, 1}})),
              b = tape.variable(f64({0.5, -0.5}));
    const Var y = linear_activation(x, {w, b}, Activation::relu);  // of {{1.5, -0.5}, {-3.5, 2.5}}
    BOOST_TEST(y.value().to_vector() == (std::vector<double>{1.5, 0, 0, 2.5}));
    const Gradients g = tape.backward(y, {.cotangent = f64({{10, 20}, {30, 40}})});
    BOOST_TEST(g[x].to_vector() == (std::vector<double>{30, -10, -80, 40}));
    BOOST_TEST(g[w].to_vector() == (std::vector<double>{10, 20, -40, 40}));
    BOOST_TEST(g[b].to_vector() == (std::vector<double>{10, 40}));
  }
}

BOOST_AUTO_TEST_CASE(the_bits_are_those_of_the_two_ops) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Activation activation : {Activation::relu, Activation::gelu})
      for (const Index rows : {3, 20, 300, 600})  // the last ones in several blocks of rows
        for (const bool consume : {false, true}) {
          const Index out = rows > 100 ? 700 : 37;
          const std::vector<Tensor> inputs = {sample_values({rows, 19}), sample_values({out, 19}, -1, 1, 2),
                                              sample_values({out}, -1, 1, 3)};
          const auto one = results(dtype, inputs, consume, [&](const std::vector<Var>& in) {
            return linear_activation(in[0], {in[1], in[2]}, activation);
          });
          const auto two = results(dtype, inputs, consume, [&](const std::vector<Var>& in) {
            const Var a = linear(in[0], in[1], in[2]);
            return activation == Activation::relu ? relu(a) : gelu(a);
          });
          for (std::size_t i = 0; i < one.size(); ++i)
            BOOST_TEST(identical(one[i], two[i]), "result " << i << " of " << rows << " rows");
        }
}

BOOST_AUTO_TEST_CASE(the_gradient_of_the_result_stays) {
  Tape tape;
  const Var x = tape.variable({{1, 2}}), w = tape.variable({{3, -1}, {-2, 1}});
  const Var y = linear_activation(x, {w}, Activation::relu);
  const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{5, 7}})});
  BOOST_TEST(g[y].to_vector() == (std::vector<double>{5, 7}));
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_pass) {
  Tape tape;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const Var x = tape.constant({{nan}, {inf}, {-inf}}), w = tape.constant({{1}});
  const Tensor y = linear_activation(x, {w}, Activation::relu).value();
  BOOST_TEST(std::isnan(y.at({0, 0})));
  BOOST_TEST(y.at({1, 0}) == inf);
  BOOST_TEST(y.at({2, 0}) == 0);
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const auto zeros = [&](const Shape& shape) { return tape.full(shape, 0); };
  const auto call = [](const Var& x, const Var& w, const Var& b = {}) {
    return linear_activation(x, {w, b}, Activation::gelu);
  };
  BOOST_CHECK_EXCEPTION(call(zeros({2, 3}), zeros({3, 4})), Error,
                        says("linear_activation: x [2, 3] and weight [3, 4] do not fit: weight is [out, in], "
                             "so x's last axis must be 4"));
  BOOST_CHECK_EXCEPTION(call(zeros({2, 3}), zeros({3})), Error,
                        says("linear_activation: weight must be [out, in], got [3]"));
  BOOST_CHECK_EXCEPTION(call(zeros({2, 3}), zeros({4, 3}), zeros({3})), Error,
                        says("linear_activation: bias [3] and weight [4, 3] do not fit: weight is [out, in], "
                             "so bias must be [4]"));
  BOOST_CHECK_EXCEPTION(call(zeros({2, 3}), {}), Error,
                        says("linear_activation: an empty Var; it was never recorded on a tape"));
}

BOOST_AUTO_TEST_SUITE_END()
