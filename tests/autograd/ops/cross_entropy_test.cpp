#include <tapegrad/autograd/ops/cross_entropy.h>

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
// Rows with p = (1/2, 1/4, 1/4), (1/3, 1/3, 1/3) and (1/5, 1/5, 3/5).
Tensor logits() {
  return Tensor::of({{std::log(2.), 0, 0}, {7, 7, 7}, {1, 1, 1 + std::log(3.)}}, DType::f64);
}
}  // namespace

BOOST_AUTO_TEST_SUITE(cross_entropy_op)

BOOST_AUTO_TEST_CASE(each_reduction_by_hand) {
  const Tensor targets = Tensor::ids({1, -100, 2});
  const double first = std::log(4.), third = std::log(5. / 3);
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(logits());
    const Var mean = cross_entropy(x, targets),
              sum = cross_entropy(x, targets, {.reduction = Reduction::sum}),
              each = cross_entropy(x, targets, {.reduction = Reduction::none});
    check_close(mean.value(), {(first + third) / 2});
    check_close(sum.value(), {first + third});
    check_close(each.value(), {first, 0, third});
    const std::vector<double> dsum = {0.5, -0.75, 0.25, 0, 0, 0, 0.2, 0.2, -0.4};
    check_close(tape.backward(sum)[x], dsum);
    check_close(tape.backward(mean)[x], {0.25, -0.375, 0.125, 0, 0, 0, 0.1, 0.1, -0.2});
    const Gradients g = tape.backward(each, {.cotangent = Tensor::of({2, 100, -1}, DType::f64)});
    check_close(g[x], {1, -1.5, 0.5, 0, 0, 0, -0.2, -0.2, 0.4});
  }
}

BOOST_AUTO_TEST_CASE(label_smoothing_by_hand) {
  for (const bool fused : {true, false}) {
    Tape tape({.dtype = DType::f64, .fused = fused});
    const Var x = tape.variable(Tensor::of({std::log(2.), 0, 0}, DType::f64));
    const Var loss = cross_entropy(x, Tensor::ids({0}).reshaped({}), {.label_smoothing = 0.3});
    check_close(loss.value(), {0.7 * std::log(2.) + 0.1 * (std::log(2.) + 2 * std::log(4.))});
    check_close(tape.backward(loss)[x], {0.5 - 0.8, 0.25 - 0.1, 0.25 - 0.1});
  }
}

BOOST_AUTO_TEST_CASE(without_a_valid_target_zero_and_not_nan) {
  for (const bool fused : {true, false})
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
      Tape tape({.dtype = DType::f64, .fused = fused});
      const Var x = tape.variable(logits());
      const Var loss = cross_entropy(x, Tensor::ids({5, 5, 5}),
                                     {.ignore_index = 5, .label_smoothing = 0.1, .reduction = reduction});
      BOOST_TEST(loss.value().to_vector() == std::vector<double>(static_cast<std::size_t>(loss.size())),
                 boost::test_tools::per_element());
      const Gradients g = tape.backward(loss, {.cotangent = Tensor::full(loss.shape(), 1, DType::f64)});
      BOOST_TEST(g[x].to_vector() == std::vector<double>(9), boost::test_tools::per_element());
      const Var none = cross_entropy(tape.variable(Tensor({0, 3}, DType::f64)), Tensor({0}, DType::i64));
      BOOST_TEST(none.item() == 0);
    }
}

BOOST_AUTO_TEST_CASE(does_not_overflow) {
  Tape tape;
  const Var x = tape.variable({{3e4, -3e4}, {-3e4, -3e4}});
  const Var loss = cross_entropy(x, Tensor::ids({1, 0}), {.reduction = Reduction::none});
  BOOST_TEST(loss.value().at({0}) == 6e4);
  BOOST_TEST(std::abs(loss.value().at({1}) - std::log(2.)) < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_the_others) {
  Tape tape;
  Tensor rows({3, 37});
  for (Index i = 0; i < rows.size(); ++i)
    rows.data<float>()[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  const Var all = cross_entropy(tape.constant(rows), Tensor::ids({4, 36, 0}),
                                {.label_smoothing = 0.1, .reduction = Reduction::none});
  for (Index r = 0; r < 3; ++r) {
    const Tensor row = Tensor::from(rows.matrix<float>().row(r)).reshaped({1, 37});
    const Var one = cross_entropy(tape.constant(row),
                                  Tensor::ids({r == 0   ? 4
                                               : r == 1 ? 36
                                                        : 0}),
                                  {.label_smoothing = 0.1, .reduction = Reduction::none});
    BOOST_TEST(one.value().at({0}) == all.value().at({r}));
  }
}

BOOST_AUTO_TEST_CASE(counts_targets) {
  BOOST_TEST(count_targets(Tensor::ids({{1, -100}, {2, 3}})) == 3);
  BOOST_TEST(count_targets(Tensor::ids({0, 0, 1}), 0) == 1);
  BOOST_CHECK_EXCEPTION(count_targets(Tensor::of({0, 1}, DType::i32)), Error,
                        says("count_targets: targets must be i64 class numbers, got i32 [2]"));
}

BOOST_AUTO_TEST_CASE(errors) {
  Tape tape;
  const Var x = tape.constant({{{1, 2, 3}, {4, 5, 6}}});  // [1, 2, 3]
  const auto fails = [&](const Tensor& targets, std::string_view text,
                         const CrossEntropyOptions& options = {}) {
    const std::size_t nodes = tape.size();
    BOOST_CHECK_EXCEPTION(cross_entropy(x, targets, options), Error, says(text));
    BOOST_TEST(tape.size() == nodes);
  };
  fails(Tensor::ids({{2, 3}}),
        "cross_entropy: target 3 at position 1 of [1, 2] is out of range; it must be in [0, 3) or be "
        "ignore_index = -100");
  fails(Tensor::ids({{-1, 0}}),
        "cross_entropy: target -1 at position 0 of [1, 2] is out of range; it must be in [0, 3) or be "
        "ignore_index = 9",
        {.ignore_index = 9});
  fails(Tensor::ids({1, 2}),
        "cross_entropy: targets of shape [2] do not fit logits [1, 2, 3]; logits are [.., vocab] and targets "
        "[..]");
  fails(Tensor::of({{1, 2}}), "cross_entropy: targets must be i64 class numbers, got f32 [1, 2]");
  fails(Tensor::ids({{1, 2}}), "cross_entropy: label_smoothing must be in [0, 1], got 1.5",
        {.label_smoothing = 1.5});
}

BOOST_AUTO_TEST_SUITE_END()
