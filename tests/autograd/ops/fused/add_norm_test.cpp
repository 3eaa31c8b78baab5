#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/dropout.h>
#include <tapegrad/autograd/ops/fused/add_norm.h>
#include <tapegrad/autograd/ops/norm.h>

#include <boost/test/unit_test.hpp>
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

/// Sublayers as in a Transformer: norm(x + f(x)), or x + f(norm(x)) twice; values, gradients and the draw
/// after them.
template <class AddNorm>
std::vector<Tensor> chain(DType dtype, Index width, bool norm_first, double p, const AddNorm& add_norm) {
  Tape tape({.dtype = dtype, .training = true, .seed = 4});
  const auto variable = [&](const Shape& shape, std::uint64_t key) {
    return tape.variable(sample_values(shape, -2, 2, key).to(dtype));
  };
  const Var x = variable({3, 5, width}, 1), w = variable({width}, 2), b = variable({width}, 3),
            scale = variable({width}, 4);
  NormedSum r = add_norm(x, x * scale, w, b, p);
  r = add_norm(norm_first ? r.sum : r.normed, r.normed * scale, w, b, p);
  const Var y = norm_first ? r.sum + dropout(r.normed, p) : r.normed;
  std::vector<Tensor> all = {y.value().clone()};
  const Gradients g =
      tape.backward(y, {.consume = true, .cotangent = sample_values(y.shape(), -1, 1, 9).to(dtype)});
  for (const Var& v : {x, w, b, scale}) all.push_back(g[v].clone());
  return all;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(add_norm_op)

BOOST_AUTO_TEST_CASE(by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    // The sum is {1, 5}: mean 3, variance 4 (+ eps 5 = 9).
    const Var x = tape.variable(f64({{0, 7}})), f = tape.variable(f64({{1, -2}})),
              w = tape.variable(f64({3, 6})), b = tape.variable(f64({10, 20}));
    const NormedSum r = add_norm({w, b, 5}, x, f);
    BOOST_TEST(r.sum.value().to_vector() == (std::vector<double>{1, 5}));
    BOOST_TEST(r.normed.value().at({0, 0}) == 10 - 2. / 3 * 3, boost::test_tools::tolerance(1e-14));
    BOOST_TEST(r.normed.value().at({0, 1}) == 20 + 2. / 3 * 6, boost::test_tools::tolerance(1e-14));
    const Gradients g = tape.backward(r.normed, {.cotangent = f64({{1, 0}})});
    const double first = (3 - 1.5 - 2. / 3) / 3, second = (0 - 1.5 + 2. / 3) / 3;
    for (const Var& v : {x, f}) {
      BOOST_TEST(g[v].at({0, 0}) == first, boost::test_tools::tolerance(1e-14));
      BOOST_TEST(g[v].at({0, 1}) == second, boost::test_tools::tolerance(1e-14));
    }
    BOOST_TEST(g[b].to_vector() == (std::vector<double>{1, 0}));
    const Gradients of_sum = tape.backward(r.sum, {.cotangent = f64({{2, 3}})});
    BOOST_TEST(of_sum[x].to_vector() == (std::vector<double>{2, 3}));
    BOOST_TEST(of_sum[f].to_vector() == (std::vector<double>{2, 3}));
  }
}

BOOST_AUTO_TEST_CASE(the_bits_are_those_of_the_three_ops) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Index width : {1, 7, 16, 40, 64})
      for (const bool norm_first : {false, true})
        for (const double p : {0.0, 0.3, 1.0}) {
          const auto fused = chain(dtype, width, norm_first, p,
                                   [](const Var& x, const Var& f, const Var& w, const Var& b, double rate) {
                                     return add_norm({w, b}, x, f, rate);
                                   });
          const auto apart = chain(dtype, width, norm_first, p,
                                   [](const Var& x, const Var& f, const Var& w, const Var& b, double rate) {
                                     const Var sum = x + dropout(f, rate);
                                     return NormedSum{layer_norm(sum, w, b), sum};
                                   });
          for (std::size_t i = 0; i < fused.size(); ++i)
            BOOST_TEST(identical(fused[i], apart[i]), "result " << i << ", width " << width << ", p " << p);
        }
}

BOOST_AUTO_TEST_CASE(draws_only_in_training) {
  Tape tape({.training = true});
  const Var x = tape.constant({{1, 2}});
  const auto draws = [&] { return tape.mark().draws; };
  add_norm({}, x, x, 0);
  BOOST_TEST(draws() == 0U);
  add_norm({}, x, x, 0.5);
  BOOST_TEST(draws() == 1U);
  BOOST_CHECK_THROW(add_norm({}, x, tape.constant({1, 2}), 0.5), Error);
  BOOST_TEST(draws() == 1U);  // given back
  tape.set_training(false);
  add_norm({}, x, x, 0.5);
  BOOST_TEST(draws() == 1U);
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.constant({{1, 2}, {3, 4}}), three = tape.constant({1, 2, 3});
  BOOST_CHECK_EXCEPTION(add_norm({}, x, three), Error,
                        says("add_layer_norm: x [2, 2] and f [3] must have the same shape"));
  BOOST_CHECK_EXCEPTION(
      add_norm({three}, x, x), Error,
      says("add_layer_norm: weight of shape [3] does not fit the last axis of x [2, 2]; it must be [2]"));
  BOOST_CHECK_EXCEPTION(
      add_norm({{}, three}, x, x), Error,
      says("add_layer_norm: bias of shape [3] does not fit the last axis of x [2, 2]; it must be [2]"));
  BOOST_CHECK_EXCEPTION(add_norm({.eps = -1}, x, x), Error,
                        says("add_layer_norm: eps must not be negative, got -1"));
  BOOST_CHECK_EXCEPTION(add_norm({.eps = 1}, x, x, 1.5), Error,
                        says("add_layer_norm: the probability must be in [0, 1], got 1.5"));
  const Var scalar = tape.full({}, 1);
  BOOST_CHECK_EXCEPTION(add_norm({}, scalar, scalar), Error,
                        says("add_layer_norm: x of shape [] has no elements along a last axis to normalise"));
}

BOOST_AUTO_TEST_SUITE_END()
