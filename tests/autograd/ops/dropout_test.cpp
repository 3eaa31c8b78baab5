#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/dropout.h>

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
Tensor ones(const Shape& shape) { return Tensor::full(shape, 1, DType::f64); }
}  // namespace

BOOST_AUTO_TEST_SUITE(dropout_op)

BOOST_AUTO_TEST_CASE(identity_unless_training) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor::of({1, 2}, DType::f64));
  const std::size_t nodes = tape.size();
  BOOST_TEST(dropout(x, 0.9).value().data<double>() == x.value().data<double>());
  tape.set_training(true);
  dropout(x, 0);
  BOOST_TEST(tape.size() == nodes);
  BOOST_TEST((tape.next_draw().value == random_key(0, 0, 0, 0).value));  // neither took a draw
}

BOOST_AUTO_TEST_CASE(keeps_and_scales_by_the_key_alone) {
  Tape tape({.dtype = DType::f64});
  const Index n = 20000;
  const double p = 0.3;
  const Var x = tape.variable(ones({n}));
  const Var y = dropout_with(x, p, {5});
  double kept = 0;
  for (Index i = 0; i < n; ++i) {
    const bool keep =
        random_bits({5}, static_cast<std::uint64_t>(i)) >= static_cast<std::uint64_t>(p * 4294967296.0);
    BOOST_REQUIRE_EQUAL(y.value().data<double>()[i], keep ? 1 * (1 / (1 - p)) : 0);
    kept += keep;
  }
  const double deviation = std::sqrt(n * p * (1 - p));
  BOOST_TEST(std::abs(kept - n * (1 - p)) < 5 * deviation);
  const Gradients g = tape.backward(y, {.cotangent = ones({n})});
  BOOST_TEST(identical(g[x].clone(), y.value().clone()));
  BOOST_TEST(identical(dropout_with(x, p, {5}).value().clone(), y.value().clone()));
  BOOST_TEST(!identical(dropout_with(x, p, {6}).value().clone(), y.value().clone()));
}

BOOST_AUTO_TEST_CASE(draws_follow_seed_step_shard_and_order) {
  const auto draw = [](std::uint64_t seed, std::uint64_t step, std::uint64_t shard, int before) {
    Tape tape({.training = true, .seed = seed, .step = step, .shard = shard});
    const Var x = tape.constant(Tensor::full({64}, 1));
    tape.constant(Tensor::full({3}, 1));  // other nodes do not matter
    for (int i = 0; i < before; ++i) dropout(x, 0.1);
    return dropout(x, 0.5).value().clone();
  };
  const Tensor base = draw(1, 2, 3, 0);
  BOOST_TEST(identical(base, draw(1, 2, 3, 0)));
  for (const Tensor& other : {draw(9, 2, 3, 0), draw(1, 9, 3, 0), draw(1, 2, 9, 0), draw(1, 2, 3, 1)})
    BOOST_TEST(!identical(base, other));
}

BOOST_AUTO_TEST_CASE(one_drops_all) {
  Tape tape({.training = true});
  const Var x = tape.variable({1, 2, 3}), y = dropout(x, 1);
  BOOST_TEST(y.value().to_vector() == std::vector<double>(3), boost::test_tools::per_element());
  const Gradients g = tape.backward(y, {.cotangent = Tensor::full({3}, 1)});
  BOOST_TEST(g[x].to_vector() == std::vector<double>(3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_dropout_that_throws_takes_no_draw) {
  const auto draw = [](bool fails_before) {
    Tape tape({.training = true, .check = true});
    const Var x = tape.constant(Tensor::full({64}, 1)), nan = tape.constant({NAN});
    if (fails_before) BOOST_CHECK_THROW(dropout(nan, 0.1), Error);
    return dropout(x, 0.5).value().clone();
  };
  BOOST_TEST(identical(draw(false), draw(true)));
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.constant({1, 2});
  BOOST_CHECK_EXCEPTION(dropout(x, 1.5), Error, says("dropout: the probability must be in [0, 1], got 1.5"));
  BOOST_CHECK_EXCEPTION(dropout_with(x, -0.5, {1}), Error,
                        says("dropout: the probability must be in [0, 1], got -0.5"));
  BOOST_CHECK_EXCEPTION(dropout(x, NAN), Error, says("dropout: the probability must be in [0, 1], got nan"));
}

BOOST_AUTO_TEST_SUITE_END()
