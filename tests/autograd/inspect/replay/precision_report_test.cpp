#include <tapegrad/autograd/inspect/replay/precision_report.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/nn/seq2seq.h>

#include <cmath>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <tests/support/small_seq2seq.h>

namespace tapegrad {
using namespace nn;
namespace {

using test::error_of;

const NumericError& of(const std::vector<NumericError>& errors, const Var& x) {
  for (const NumericError& e : errors)
    if (e.node == x.id().node && e.value.output() == x.output()) return e;
  throw Error("not listed");
}

BOOST_AUTO_TEST_SUITE(precision_reports)

/// 1 + 1e-5 is rounded, and 1 taken away again: the rounding is all that is left of 1e-5.
BOOST_AUTO_TEST_CASE(cancellation_is_named) {
  Tape tape;
  const Var small = tape.variable({1e-5, 0.5}), big = small + 1, back = big - 1, doubled = 2 * back;
  const PrecisionReport report = precision_report(tape);
  const auto exact = static_cast<double>(1e-5F), rounded = static_cast<double>(1 + 1e-5F) - 1;
  const NumericError& sum = of(report.values, big);
  BOOST_TEST(sum.absolute == std::abs(rounded - exact), boost::test_tools::tolerance(1e-8));
  BOOST_TEST(sum.relative == sum.absolute / 1.5);
  BOOST_TEST(sum.own == sum.relative);
  BOOST_TEST(sum.inherited == 0);
  BOOST_TEST(sum.growth == 1);
  const NumericError& difference = of(report.values, back);
  BOOST_TEST(difference.own == 0);
  BOOST_TEST(difference.inherited == sum.relative);
  BOOST_TEST(difference.growth == 3, boost::test_tools::tolerance(1e-12));  // 1.5 / 0.5
  BOOST_TEST(difference.cell == 0);
  BOOST_TEST(difference.recorded == rounded);
  BOOST_TEST(difference.exact == exact, boost::test_tools::tolerance(1e-8));
  BOOST_TEST(of(report.values, doubled).growth == 1);
  BOOST_TEST(report.values[0].node == back.id().node);
  BOOST_TEST(report.gradients.empty());
  BOOST_TEST(report.values.size() == 3U);
}

BOOST_AUTO_TEST_CASE(overflow_is_an_infinite_error) {
  Tape tape;
  const Var x = tape.variable({{1, 100}, {2, 3}}), y = exp(x), z = y - y;
  const PrecisionReport report = precision_report(tape);
  const NumericError& e = of(report.values, y);
  BOOST_TEST(std::isinf(e.relative));
  BOOST_TEST(std::isinf(e.own));
  BOOST_TEST(e.cell == 1);
  BOOST_TEST(e.exact == std::exp(100.0), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(e.place() == "exp at [0, 1]");
  BOOST_TEST(report.values[0].node == y.id().node);
  BOOST_TEST(std::isinf(of(report.values, z).absolute));
}

BOOST_AUTO_TEST_CASE(the_gradients_of_a_transformer) {
  ParameterStore params(3);
  const Seq2Seq model(params.root(), test::small_options(0.1));
  test::shake(params);
  const Seq2SeqBatch batch = test::shards_of(2, 2, 4, 1, 5).front();
  Tape tape({.training = true, .seed = 1});
  const Var loss = model.loss_sum(tape, batch);
  const Gradients g = tape.backward(loss);
  const PrecisionReport report = precision_report(loss, g);
  BOOST_TEST(report.values.size() > 40U);
  BOOST_TEST(report.gradients.size() > 80U);
  double last = 1;
  for (const auto* errors : {&report.values, &report.gradients}) {
    last = 1;
    for (const NumericError& e : *errors) {
      BOOST_TEST(e.relative <= last);
      last = e.relative;
      BOOST_TEST(e.relative < 1e-4, e.place());
    }
  }
  BOOST_TEST(report.values[0].relative > 1e-9);
  BOOST_TEST(report.gradients[0].relative > 1e-9);

  // A tape in f64 over equal values has equal gradients.
  ParameterStore exact_params(3, DType::f64);
  const Seq2Seq exact_model(exact_params.root(), test::small_options(0.1));
  for (const Parameter& p : params) exact_params.at(p.path()).assign(p.value().to(DType::f64));
  Tape exact({.dtype = DType::f64, .training = true, .seed = 1});
  const Var exact_loss = exact_model.loss_sum(exact, batch);
  const Gradients exact_g = exact.backward(exact_loss);
  std::size_t parameters = 0;
  for (const NumericError& e : report.gradients) {
    if (!e.op.empty() || !exact_params.find(e.path)) continue;
    const double expected = exact_g[exact_params.at(e.path)].to_vector().at(static_cast<std::size_t>(e.cell));
    BOOST_TEST(std::abs(e.exact - expected) < 1e-5, e.place());  // positions were rounded to f32
    ++parameters;
  }
  BOOST_TEST(parameters == params.size());
}

/// A gradient that is 0 but for rounding is not the worst one.
BOOST_AUTO_TEST_CASE(gradients_near_zero_are_compared_absolutely) {
  Tape tape;
  const Var z = tape.variable({{0.3, -1.7, 2.2}, {0.1, 0.9, -0.4}}), shift = tape.variable({0.7});
  const Tensor weights = Tensor::of({{1.3, -0.4, 0.9}, {0.2, 0.5, -2.1}});
  const Var loss = sum(softmax(z + shift) * tape.constant(weights));  // which no shift changes
  const PrecisionReport report = precision_report(loss, tape.backward(loss));
  const NumericError& e = of(report.gradients, shift);
  BOOST_TEST(e.absolute > 0);
  BOOST_TEST(std::abs(e.exact) < 1e-12);
  BOOST_TEST(e.relative == e.absolute / 1e-3);
}

BOOST_AUTO_TEST_CASE(text) {
  Tape tape;
  const Var x = tape.variable({0.25, 1}), y = x + 0.5, loss = sum(y);
  const std::string values =
      "values, f32 against f64, worst first (1 of 2)\n"
      " relative  absolute            f32            f64       own    growth  place\n"
      "  0.0e+00   0.0e+00           0.75           0.75   0.0e+00         1  affine at [0]\n";
  BOOST_TEST(to_text(precision_report(tape), 1) == values);
  BOOST_TEST(to_text(precision_report(loss, tape.backward(loss)), 1) ==
             values +
                 "\ngradients, f32 against f64, worst first (1 of 3)\n"
                 " relative  absolute            f32            f64  place\n"
                 "  0.0e+00   0.0e+00              1              1  leaf at [0]\n");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape({.dtype = DType::f64}), empty;
  tape.variable({1});
  BOOST_TEST(error_of([&] { precision_report(tape); }) ==
             "precision_report: compares a recording in f32 with f64, this one is in f64");
  BOOST_TEST(error_of([&] { precision_report(empty); }) == "replay: nothing was recorded yet");
  BOOST_TEST(error_of([&] { precision_report(Var(), {}); }) ==
             "precision_report: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad
