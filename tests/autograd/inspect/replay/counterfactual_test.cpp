#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/inspect/replay/counterfactual.h>
#include <tapegrad/autograd/inspect/replay/replay.h>
#include <tapegrad/autograd/ops.h>
#include <tests/support/replayed.h>

#include <cmath>

#include <tests/support/errors.h>
#include <tests/support/expect.h>

namespace tapegrad {
namespace {

using test::check_values;
using test::counting;
using test::error_of;

constexpr TapeOptions f64{.dtype = DType::f64};

BOOST_AUTO_TEST_SUITE(counterfactuals)

BOOST_AUTO_TEST_CASE(change_and_prediction) {
  Tape tape(f64);
  const Var x = tape.variable({1, 2, 3}), beside = exp(x), loss = sum(x * x);
  const Gradients g = tape.backward(loss);
  const Counterfactual c = what_if(loss, g, x, Tensor::of({1, 4, 3}, DType::f64));
  BOOST_TEST(c.loss == 14);
  BOOST_TEST(c.changed_loss == 26);
  BOOST_TEST(c.change == 12);
  BOOST_TEST(c.predicted == 8);  // the rest is the curvature's: (4 - 2)^2
  BOOST_TEST(loss.item() == 14);
  const Counterfactual none = what_if(loss, g, beside, Tensor({3}, DType::f64));
  BOOST_TEST(none.change == 0);
  BOOST_TEST(none.predicted == 0);
}

BOOST_AUTO_TEST_CASE(the_gap_shrinks_with_the_square_of_the_change) {
  Tape tape({.dtype = DType::f64, .show_parts = true});
  const Var q = tape.variable(sample_values({1, 2, 3, 4})),
            v = tape.variable(sample_values({1, 2, 3, 4}, -2, 2, 2));
  const AttentionResult r = attention_with_weights(q, v, v);
  const Var loss = sum(tanh(r.context) * v);
  const Gradients g = tape.backward(loss);
  const auto gap = [&](double size) {
    const double old = r.weights.value().at({0, 1, 2, 0});
    const Counterfactual c = what_if(loss, g, r.weights, with_element(r.weights, {0, 1, 2, 0}, old + size));
    BOOST_TEST(c.change != 0);
    return std::abs(c.change - c.predicted);
  };
  BOOST_TEST(gap(1e-2) / gap(1e-3) == 100, boost::test_tools::tolerance(0.1));
}

/// A change far below f32's rounding of the loss.
BOOST_AUTO_TEST_CASE(small_changes_of_f32_recordings_are_not_lost) {
  Tape tape;
  const Var x = tape.variable({1, 2}), y = affine(x, 3), loss = sum(y * y) + 1e4;
  const Gradients g = tape.backward(loss);
  const float moved = std::nextafter(3.0F, 4.0F);
  const Counterfactual c = what_if(loss, g, y, with_element(y, {0}, static_cast<double>(moved)));
  BOOST_TEST(c.predicted == 6 * (static_cast<double>(moved) - 3), boost::test_tools::tolerance(1e-6));
  BOOST_TEST(c.change == c.predicted, boost::test_tools::tolerance(1e-5));
  const Counterfactual same = what_if(loss, g, y, y.value());
  BOOST_TEST(same.change == 0);
  BOOST_TEST(same.loss == 10045);
}

BOOST_AUTO_TEST_CASE(new_values) {
  Tape tape(f64);
  const Var heads = tape.variable(counting({1, 2, 2, 2})), packed = tape.variable(counting({2, 4})),
            tokens = tape.variable(counting({2, 2, 2}));
  check_values(without_head(heads, 1), {1, 2, 2, 2}, {1, 2, 3, 4, 0, 0, 0, 0});
  check_values(without_packed_head(packed, 2, 0), {2, 4}, {0, 0, 3, 4, 0, 0, 7, 8});
  check_values(without_token(tokens, 1, 0), {2, 2, 2}, {1, 2, 3, 4, 0, 0, 7, 8});
  check_values(without_token(packed, 0, 1), {2, 4}, {1, 2, 3, 4, 0, 0, 0, 0});
  check_values(with_element(packed, {1, 2}, -1), {2, 4}, {1, 2, 3, 4, 5, 6, -1, 8});
  check_values(without_key(heads, 0), {1, 2, 2, 2}, {-1e30, 2, -1e30, 4, -1e30, 6, -1e30, 8});
  check_values(packed.value(), {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Var none = tape.variable(Tensor({1, 2, 0, 2}, DType::f64));
  BOOST_TEST(without_head(none, 0).size() == 0);
}

/// As if the token had never been there.
BOOST_AUTO_TEST_CASE(a_key_that_is_dropped_has_no_weight) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape({.dtype = dtype, .show_parts = true});
    const Tensor value = sample_values({1, 1, 3, 2}).to(dtype);
    const Var x = tape.variable(value);
    const AttentionResult r = attention_with_weights(x, x, x, {.scores = true});
    const Replay replay = test::replay_from(r.scores, without_key(r.scores, 1));
    Tensor keep = Tensor::full({3, 3}, 1, DType::boolean);
    for (const Index at : {1, 4, 7}) keep.data<std::uint8_t>()[at] = 0;
    const Var masked = attention(x, x, x, {.mask = Mask::keep(keep)});
    for (Index query = 0; query < 3; ++query) BOOST_TEST(replay[r.weights].at({0, 0, query, 1}) == 0);
    const std::vector<double> got = replay[r.context].to_vector(), wanted = masked.value().to_vector();
    for (std::size_t i = 0; i < got.size(); ++i) BOOST_TEST(std::abs(got[i] - wanted[i]) < 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape(f64);
  const Var x = tape.variable({{1, 2}, {3, 4}}), c = tape.constant({1}), loss = sum(x * c);
  const Gradients g = tape.backward(loss);
  BOOST_TEST(error_of([&] { what_if(loss, g, x, Tensor({2}, DType::f64)); }) ==
             "what_if: a value of f64 [2] cannot stand for one of f64 [2, 2]");
  BOOST_TEST(error_of([&] { what_if(loss, g, c, Tensor({1}, DType::f64)); }) ==
             "what_if: this value of shape [1] is a constant, which has no gradient");
  BOOST_TEST(error_of([&] { what_if(x, g, x, x.value()); }) ==
             "what_if: the loss must have one element, got shape [2, 2]");
  BOOST_TEST(error_of([&] { what_if(Var(), g, x, x.value()); }) ==
             "what_if: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] {
               with_element(x, {0, 2}, 1);
             }) == "with_element: no element [0, 2] in a value of shape [2, 2]");
  BOOST_TEST(error_of([&] {
               with_element(x, {0, -1}, 1);
             }) == "with_element: no element [0, -1] in a value of shape [2, 2]");
  BOOST_TEST(error_of([&] {
               with_element(x, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1);
             }) == "with_element: no element [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] in a value of shape [2, 2]");
  BOOST_TEST(error_of([&] { with_element(x, {0}, 1); }) ==
             "with_element: no element [0] in a value of shape [2, 2]");
  BOOST_TEST(error_of([&] { without_head(x, 0); }) ==
             "without_head: no head 0 in a value of shape [2, 2], [.., heads, time, dim]");
  BOOST_TEST(error_of([&] { without_packed_head(x, 2, 2); }) ==
             "without_packed_head: no head 2 of 2 in a value of shape [2, 2], [.., heads * dim]");
  BOOST_TEST(error_of([&] { without_token(x, 1, 0); }) ==
             "without_token: no token 0 of example 1 in a value of shape [2, 2], [batch, time, width]");
  BOOST_TEST(error_of([&] { without_key(x, 2); }) ==
             "without_key: no key 2 in scores of shape [2, 2], [.., query, key]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad
