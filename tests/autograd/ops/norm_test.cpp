#include <tapegrad/autograd/ops/norm.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
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
void check_close(const Tensor& actual, const std::vector<double>& expected) {
  BOOST_TEST_REQUIRE(actual.to_vector().size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    BOOST_TEST(std::abs(actual.to_vector()[i] - expected[i]) < 1e-12);
}
Tensor f64(const Nested& values) { return Tensor::of(values, DType::f64); }
}  // namespace

BOOST_AUTO_TEST_SUITE(norm)

BOOST_AUTO_TEST_CASE(layer_norm_by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    // Row 1: mean 3, variance 4 (+ eps 5 = 9). Row 2: mean 0, variance 4.
    const Var x = tape.variable(f64({{1, 5}, {2, -2}})), w = tape.variable(f64({3, 6})),
              b = tape.variable(f64({10, 20}));
    const Var y = layer_norm(x, w, b, 5);
    check_close(y.value(), {10 - 2. / 3 * 3, 20 + 2. / 3 * 6, 10 + 2. / 3 * 3, 20 - 2. / 3 * 6});
    const Gradients g = tape.backward(y, {.cotangent = f64({{1, 0}, {0, 1}})});
    // Row 1: g = (3, 0), mean 1.5, x̂ = (−2/3, 2/3), mean(g x̂) = −1.  Row 2: g = (0, 6), mean 3, x̂ = (2/3,
    // −2/3), mean(g x̂) = −2.
    check_close(g[x],
                {(3 - 1.5 - 2. / 3) / 3, (0 - 1.5 + 2. / 3) / 3, (0 - 3 + 4. / 3) / 3, (6 - 3 - 4. / 3) / 3});
    check_close(g[w], {-2. / 3, -2. / 3});
    check_close(g[b], {1, 1});
  }
}

BOOST_AUTO_TEST_CASE(rms_norm_by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(f64({{1, 7}})), w = tape.variable(f64({2, 10}));  // mean square 25
    const Var y = rms_norm(x, w, 0);
    check_close(y.value(), {0.4, 14});
    const Gradients g = tape.backward(y, {.cotangent = f64({{1, 0}})});
    check_close(g[x],
                {(2 - 0.2 * 0.2) / 5, (0 - 1.4 * 0.2) / 5});  // g = (2, 0), x̂ = (0.2, 1.4), mean(g x̂) = 0.2
    check_close(g[w], {0.2, 0});
  }
}

BOOST_AUTO_TEST_CASE(each_row_by_itself) {
  Tape tape;
  const Var two = layer_norm(tape.constant({{1, 2, 4}, {300, -7, 0.5}})),
            one = layer_norm(tape.constant({300, -7, 0.5}));
  for (Index i = 0; i < 3; ++i) BOOST_TEST(two.value().at({1, i}) == one.value().at({i}));
  const Var constant = layer_norm(tape.constant({3, 3, 3}));
  BOOST_TEST(constant.value().to_vector() == (std::vector<double>{0, 0, 0}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.constant({{1, 2}, {3, 4}}), three = tape.constant({1, 2, 3});
  BOOST_CHECK_EXCEPTION(
      layer_norm(x, three), Error,
      says("layer_norm: weight of shape [3] does not fit the last axis of x [2, 2]; it must be [2]"));
  BOOST_CHECK_EXCEPTION(
      layer_norm(x, {}, three), Error,
      says("layer_norm: bias of shape [3] does not fit the last axis of x [2, 2]; it must be [2]"));
  BOOST_CHECK_EXCEPTION(
      rms_norm(x, three), Error,
      says("rms_norm: weight of shape [3] does not fit the last axis of x [2, 2]; it must be [2]"));
  BOOST_CHECK_EXCEPTION(layer_norm(x, {}, {}, -1), Error,
                        says("layer_norm: eps must not be negative, got -1"));
  BOOST_CHECK_EXCEPTION(layer_norm(tape.full({}, 1)), Error,
                        says("layer_norm: x of shape [] has no elements along a last axis to normalise"));
  BOOST_CHECK_EXCEPTION(rms_norm(tape.full({2, 0}, 1)), Error,
                        says("rms_norm: x of shape [2, 0] has no elements along a last axis to normalise"));
}

BOOST_AUTO_TEST_SUITE_END()
