// Attributes of ops in dumps.
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

std::string print(const AttributeValue& value) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const double* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return fmt::format("{}", fmt::join(std::get<std::vector<std::uint8_t>>(value), ""));
}

/// `name=value` of the op that made y.
std::string of(const Var& y) {
  Attributes attributes;
  y.tape().node(y.id().node).op->attributes(attributes);
  std::string all;
  for (const auto& [name, value] : attributes)
    all += fmt::format("{}{}={}", all.empty() ? "" : " ", name, print(value));
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attributes)

BOOST_AUTO_TEST_CASE(ops_tell_their_attributes) {
  Tape tape({.training = true});
  const Var x = tape.variable(sample_values({2, 3, 4}).to(DType::f32)),
            bias = tape.variable({1, 2, 3, 4, 5, 6}),
            weight = tape.variable(sample_values({6, 4}).to(DType::f32));
  BOOST_TEST(of(2 * x + 1) == "scale=1 shift=1");
  BOOST_TEST(of(affine(x, 0.5, -3)) == "scale=0.5 shift=-3");
  BOOST_TEST(of(broadcast_to(bias, {2, 6})) == "shape=[2, 6]");
  BOOST_TEST(of(sum_to(x, {4})) == "shape=[4]");
  BOOST_TEST(of(pow(x, 3)) == "exponent=3");
  BOOST_TEST(of(clamp(x, -1, 2)) == "low=-1 high=2");
  BOOST_TEST(of(softmax(x)) == "axis=-1");
  BOOST_TEST(of(log_softmax(x)) == "axis=-1");
  BOOST_TEST(of(sum(x, -2)) == "axis=1 keepdim=false");
  BOOST_TEST(of(mean(x, {.axis = 0, .keepdim = true})) == "axis=0 keepdim=true");
  BOOST_TEST(of(sum(x)) == "axes=0, 1, 2 keepdim=false");
  BOOST_TEST(of(max(x, 2)) == "axis=2 keepdim=false");
  BOOST_TEST(of(reshape(x, {6, 4})) == "shape=[6, 4]");
  BOOST_TEST(of(permute(x, {2, 0, 1})) == "axes=2, 0, 1");
  BOOST_TEST(of(transpose(x)) == "axes=0, 2, 1");
  BOOST_TEST(of(slice(x, 1, 1, 2)) == "axis=1 begin=1 length=2");
  BOOST_TEST(of(flip(x, -1)) == "axis=2");
  BOOST_TEST(of(concat({x, x}, 0)) == "axis=0");
  BOOST_TEST(of(dropout(x, 0.25)) == "p=0.25");
  BOOST_TEST(of(layer_norm(x, Var(), Var(), 0.5)) == "eps=0.5");
  BOOST_TEST(of(rms_norm(x, Var(), 0.25)) == "eps=0.25");
  BOOST_TEST(of(add_norm({.eps = 0.5}, x, x, 0.25).normed) == "eps=0.5 p=0.25");
  BOOST_TEST(of(cross_entropy(bias, Tensor::from({2}, {}, DType::i64), {.label_smoothing = 0.125})) ==
             "ignore_index=-100 label_smoothing=0.125 reduction=mean");
  BOOST_TEST(of(embedding(weight, Tensor::ids({1, 2}), 0)) == "padding_idx=0");
  BOOST_TEST(of(masked_fill(bias, greater(bias, tape.full({}, 2)), -7)) == "value=-7 mask_shape=[6]");
  BOOST_TEST(of(matmul(x, weight, {.transpose_b = true})) == "transpose_a=false transpose_b=true");
  BOOST_TEST(of(linear(x, weight, bias)) == "");
  BOOST_TEST(of(linear(x, rows(weight, 2, 3), rows(bias, 2, 3))) == "first=2 rows=3");
  BOOST_TEST(of(linear_activation(x, {weight, bias}, Activation::gelu)) == "activation=gelu");
  BOOST_TEST(of(exp(x)) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
