#include <tapegrad/autograd/ops/softmax.h>
#include <tests/support/expect.h>

#include <cmath>
#include <limits>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan_value = std::numeric_limits<double>::quiet_NaN();

void check_close(const Tensor& actual, const Shape& shape, const std::vector<double>& expected,
                 double tolerance) {
  BOOST_TEST((actual.shape() == shape), fmt::format("shape {} instead of {}", actual.shape(), shape));
  const std::vector<double> values = actual.to_vector();
  BOOST_TEST_REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    BOOST_TEST((values[i] == expected[i] || std::abs(values[i] - expected[i]) <= tolerance),
               "element " << i << " is " << values[i] << ", not " << expected[i]);
}

/// Runs `body(tape, tolerance)` in both dtypes, by kernel and by definition.
template <class Body>
void everywhere(Body body) {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const bool fused : {true, false})
      BOOST_TEST_CONTEXT(dtype_name(dtype) << (fused ? " kernel" : " definition")) {
        Tape tape({.dtype = dtype, .fused = fused});
        body(tape, dtype == DType::f32 ? 1e-6 : 1e-14);
      }
}

const double ln2 = std::log(2.0), ln3 = std::log(3.0), ln4 = std::log(4.0);
}  // namespace

BOOST_AUTO_TEST_SUITE(softmax_ops)

BOOST_AUTO_TEST_CASE(softmax_by_hand) {
  everywhere([](Tape& tape, double tolerance) {
    const DType d = tape.dtype();
    const Var x = tape.variable(Tensor::of({{0, ln2, 0}, {100, 100 + ln3, -inf}}, d));
    const Var y = softmax(x);
    check_close(y.value(), {2, 3}, {0.25, 0.5, 0.25, 0.25, 0.75, 0}, 20 * tolerance);
    // dx = y (dy - <y, dy>): <y, dy> is 2 in the first row and 0.75 in the second.
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{1, 2, 3}, {0, 1, 5}}, d)});
    check_close(g[x], {2, 3}, {-0.25, 0, 0.25, -0.25 * 0.75, 0.75 * 0.25, 0}, 20 * tolerance);
  });
}

BOOST_AUTO_TEST_CASE(log_softmax_by_hand) {
  everywhere([](Tape& tape, double tolerance) {
    const DType d = tape.dtype();
    const Var x = tape.variable(Tensor::of({{0, ln2, 0}, {5, 5, -inf}}, d));
    const Var y = log_softmax(x);
    check_close(y.value(), {2, 3}, {-ln4, -ln2, -ln4, -ln2, -ln2, -inf}, 5 * tolerance);
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{1, 2, 3}, {0, 1, 0}}, d)});
    check_close(g[x], {2, 3}, {1 - 1.5, 2 - 3, 3 - 1.5, -0.5, 0.5, 0}, 5 * tolerance);
  });
}

BOOST_AUTO_TEST_CASE(logsumexp_by_hand) {
  everywhere([](Tape& tape, double tolerance) {
    const DType d = tape.dtype();
    const Var x = tape.variable(Tensor::of({{0, ln2, 0}, {1000, 1000, -inf}}, d));
    const Var y = logsumexp(x), kept = logsumexp(x, {.axis = 1, .keepdim = true});
    check_close(y.value(), {2}, {ln4, 1000 + ln2}, 100 * tolerance);
    check_close(kept.value(), {2, 1}, y.value().to_vector(), 0);
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({4, 2}, d)});
    check_close(g[x], {2, 3}, {1, 2, 1, 1, 1, 0}, 100 * tolerance);
  });
}

BOOST_AUTO_TEST_CASE(other_axes) {
  everywhere([](Tape& tape, double tolerance) {
    const DType d = tape.dtype();
    const Var x = tape.variable(Tensor::of({{{0, 1}, {ln3, 1}}, {{2, ln2}, {2, ln4}}}, d));  // [2, 2, 2]
    check_close(softmax(x, 1).value(), {2, 2, 2}, {0.25, 0.5, 0.75, 0.5, 0.5, 1. / 3, 0.5, 2. / 3},
                tolerance);
    check_close(log_softmax(x, -2).value(), {2, 2, 2},
                {-ln4, -ln2, ln3 - ln4, -ln2, -ln2, -ln3, -ln2, ln2 - ln3}, tolerance);
    check_close(logsumexp(x, 1).value(), {2, 2}, {ln4, 1 + ln2, 2 + ln2, ln2 + ln3}, 5 * tolerance);
    check_close(logsumexp(x, {.axis = 0, .keepdim = true}).value(), {1, 2, 2},
                {std::log(1 + std::exp(2)), std::log(std::exp(1) + 2), std::log(3 + std::exp(2)),
                 std::log(std::exp(1) + 4)},
                5 * tolerance);
    const Var y = softmax(x, 1);
    const Gradients g = tape.backward(y, {.cotangent = Tensor::of({{{1, 0}, {0, 0}}, {{0, 0}, {0, 0}}}, d)});
    check_close(g[x], {2, 2, 2}, {0.25 * 0.75, 0, -0.25 * 0.75, 0, 0, 0, 0, 0}, tolerance);
  });
}

BOOST_AUTO_TEST_CASE(a_row_of_minus_infinities) {
  everywhere([](Tape& tape, double) {
    const DType d = tape.dtype();
    const Tensor values = Tensor::of({{-inf, -inf}, {0, 0}}, d), ones = Tensor::full({2, 2}, 1, d);
    for (const bool again : {false, true}) {
      const Var x = tape.variable(values), y = softmax(x);
      check_values(y.value(), {2, 2}, {0, 0, 0.5, 0.5});
      const BackwardOptions options{.create_graph = again, .cotangent = Tensor::of({{3, 4}, {1, 0}}, d)};
      check_values(tape.backward(y, options)[x], {2, 2}, {0, 0, 0.25, -0.25});

      const Var total = logsumexp(x);
      BOOST_TEST(total.value().at({0}) == -inf);
      check_values(tape.backward(total, {.create_graph = again, .cotangent = Tensor::of({1, 2}, d)})[x],
                   {2, 2}, {0, 0, 1, 1});

      const Var logs = log_softmax(x);
      BOOST_TEST(logs.value().at({0, 0}) == -inf);
      BOOST_TEST(logs.value().at({0, 1}) == -inf);
      check_values(
          tape.backward(logs, {.create_graph = again, .cotangent = Tensor::of({{0, 0}, {1, 0}}, d)})[x],
          {2, 2}, {0, 0, 0.5, -0.5});
    }
    BOOST_TEST(softmax(tape.constant(Tensor::of({-inf}, d))).item() == 0);
  });
}

BOOST_AUTO_TEST_CASE(extreme_values) {
  everywhere([](Tape& tape, double) {
    const DType d = tape.dtype();
    const double huge = d == DType::f32 ? 3e38 : 1e308;
    check_values(softmax(tape.constant(Tensor::of({-huge, huge}, d))).value(), {2}, {0, 1});
    check_values(softmax(tape.constant(Tensor::of({-huge, -huge}, d))).value(), {2}, {0.5, 0.5});
    check_values(log_softmax(tape.constant(Tensor::of({0, -1000}, d))).value(), {2}, {0, -1000});
    for (const double bad : {nan_value, inf}) {
      const Tensor y = softmax(tape.constant(Tensor::of({0, bad, -inf}, d))).value();
      BOOST_TEST(std::isnan(y.at({1})));
    }
    BOOST_TEST(std::isnan(softmax(tape.constant(Tensor::of({-inf, nan_value}, d))).value().at({0})));
    BOOST_TEST(std::isnan(log_softmax(tape.constant(Tensor::of({nan_value, -inf}, d))).value().at({1})));
    BOOST_TEST(std::isnan(logsumexp(tape.constant(Tensor::of({-inf, nan_value}, d))).item()));
  });
}

BOOST_AUTO_TEST_CASE(empty_rows_and_columns) {
  everywhere([](Tape& tape, double) {
    const DType d = tape.dtype();
    const Var wide = tape.variable(Tensor({0, 3}, d)), narrow = tape.variable(Tensor({2, 0}, d));
    for (const Var& x : {wide, narrow})
      for (const int axis : {0, 1}) {
        BOOST_TEST((softmax(x, axis).shape() == x.shape()));
        BOOST_TEST((log_softmax(x, axis).shape() == x.shape()));
      }
    check_values(logsumexp(narrow).value(), {2}, {-inf, -inf});
    check_values(logsumexp(wide).value(), {0}, {});
    check_values(softmax(tape.constant(Tensor::of({7}, d))).value(), {1}, {1});
  });
}

BOOST_AUTO_TEST_CASE(each_row_by_itself) {
  Tape tape;
  const Var both = softmax(tape.constant({{1, 2, 4}, {3, -7, 0.5}})),
            one = softmax(tape.constant({3, -7, 0.5}));
  for (Index i = 0; i < 3; ++i) BOOST_TEST(both.value().at({1, i}) == one.value().at({i}));
}

BOOST_AUTO_TEST_CASE(errors) {
  for (const bool fused : {true, false}) {
    Tape tape({.fused = fused});
    const Var x = tape.constant({{1, 2}});
    const auto out_of_range = [](const char* op, int axis) {
      return says(fmt::format("{}: axis {} is out of range for shape [1, 2], which has 2 axes", op, axis));
    };
    BOOST_CHECK_EXCEPTION(softmax(x, 2), Error, out_of_range("softmax", 2));
    BOOST_CHECK_EXCEPTION(log_softmax(x, -3), Error, out_of_range("log_softmax", -3));
    BOOST_CHECK_EXCEPTION(logsumexp(x, 5), Error, out_of_range("logsumexp", 5));
    BOOST_CHECK_EXCEPTION(softmax(tape.constant(1)), Error,
                          says("softmax: axis -1 is out of range for shape [], which has 0 axes"));
    BOOST_CHECK_EXCEPTION(softmax(Var()), Error,
                          says("softmax: an empty Var; it was never recorded on a tape"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
