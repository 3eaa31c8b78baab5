#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/detach.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>

namespace tapegrad {
namespace {

using test::error_of;

/// y = x^3 element by element, with a pullback that is wrong by `factor`.
struct Cube final : Primitive {
  double factor;
  bool blind;  // its gradient takes x for a constant
  explicit Cube(double wrong, bool once_only = false) : factor(wrong), blind(once_only) {}
  const char* name() const override { return "cube"; }
  Formula formula() const override { return "y = x^3;  dx = 3 x^2 dy"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    for (Index i = 0; i < in[0].size(); ++i) out[0].data<double>()[i] = std::pow(in[0].data<double>()[i], 3);
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var x = blind ? detach(p.inputs[0]) : p.inputs[0];
    return {x * x * p.cotangents[0] * (3 * factor)};
  }
};

CheckedFunction cube(double factor, bool blind = false) {
  return [=](const std::vector<Var>& in) { return apply(Cube{factor, blind}, {in[0]}); };
}

Var absolute(const std::vector<Var>& in) { return maximum(in[0], -in[0]); }

}  // namespace

BOOST_AUTO_TEST_SUITE(gradient_checks)

BOOST_AUTO_TEST_CASE(right_gradients_pass_at_every_magnitude) {
  for (const double scale : {1e-6, 1e-3, 1.0, 1e3, 1e6}) {
    const GradcheckResult r = gradcheck(cube(1), {sample_values({2, 3}, -2 * scale, 2 * scale)});
    BOOST_TEST(r.ok, r.message);
    BOOST_TEST(r.checked == 6);
    BOOST_TEST(r.kinks == 0);
  }
  const GradcheckResult again = gradgradcheck(cube(1), {sample_values({2, 3})});
  BOOST_TEST(again.ok, again.message);
  BOOST_TEST(again.checked == 12);  // the cotangent too
}

BOOST_AUTO_TEST_CASE(a_wrong_gradient_is_named_with_both_numbers) {
  const GradcheckResult r = gradcheck(cube(2), {Tensor::of({{0, 0}, {0, 1}}, DType::f64)}, {.label = "cube"});
  BOOST_TEST(!r.ok);
  BOOST_TEST(r.max_relative_error == 0.5, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(r.message.starts_with("cube: input 0, element [1, 1]: analytic "), r.message);
  BOOST_TEST(
      r.message.ends_with(", relative error 0.5; looks like: a factor 2 too much would fit for input 0, "
                          "but only one element tells"),
      r.message);
  const GradcheckResult plain = gradcheck(cube(2), {sample_values({3})}, {.diagnose = false});
  BOOST_TEST(plain.diagnosis == "");
  BOOST_TEST(plain.message.find("looks like") == std::string::npos, plain.message);
  BOOST_TEST(!static_cast<bool>(gradcheck(cube(1 + 1e-7), {sample_values({3})})));
  BOOST_TEST(static_cast<bool>(gradcheck(cube(1 + 1e-7), {sample_values({3})}, {.tolerance = 1e-6})));
  BOOST_TEST(static_cast<bool>(gradcheck(cube(1, true), {sample_values({3})})));
  BOOST_TEST(!static_cast<bool>(gradgradcheck(cube(1, true), {sample_values({3})})));
}

BOOST_AUTO_TEST_CASE(kinks_are_counted_and_named) {
  const std::vector<Tensor> inputs = {Tensor::of({1, 0, -1, 2e-9, 0.5}, DType::f64)};
  const GradcheckResult r = gradcheck(absolute, inputs, {.label = "absolute"});
  BOOST_TEST(!r.ok);
  BOOST_TEST(r.kinks == 2);
  BOOST_TEST(r.checked == 3);
  BOOST_TEST(r.message.ends_with("; 2 of 5 stencils cross a kink, first at input 0, element [1]"), r.message);
  BOOST_TEST(static_cast<bool>(gradcheck(absolute, inputs, {.allowed_kinks = 2})));
  BOOST_TEST(static_cast<bool>(
      gradcheck(absolute, {Tensor::of({1e-3, -7e-4}, DType::f64)})));  // a smaller step avoids these
}

BOOST_AUTO_TEST_CASE(parameters_are_checked_by_path_and_restored) {
  ParameterStore params(3, DType::f64);
  const auto init = [](Tensor& values, RandomKey key) {
    values.copy_from(sample_values(values.shape(), -2, 2, key.value));
  };
  const Parameter w = params.root().parameter("layer.weight", {3, 4}, init),
                  frozen = params.root().parameter("layer.frozen", {4}, init);
  params.freeze("*.frozen");
  const Tensor before = w.value().clone();
  const auto f = [&](double factor) {
    return [&, factor](const std::vector<Var>& in) {
      Tape& tape = in[0].tape();
      return apply(Cube{factor}, {tape[w]}) * in[0] + tape[frozen];
    };
  };
  const std::vector<Tensor> inputs = {sample_values({4})};
  const GradcheckResult good = gradcheck(f(1), inputs, params);
  BOOST_TEST(good.ok, good.message);
  BOOST_TEST(good.checked == 16);
  BOOST_TEST(gradcheck(f(1), inputs, params, {.elements = 3}).checked == 6);
  const GradcheckResult bad = gradcheck(f(-1), inputs, params, {.label = "mine"});
  BOOST_TEST(!bad.ok);
  BOOST_TEST(bad.message.starts_with("mine: parameter 'layer.weight', element ["), bad.message);
  BOOST_TEST(identical(before, w.value()));
}

BOOST_AUTO_TEST_CASE(inputs_must_be_f64) {
  BOOST_TEST(error_of([] {
               gradcheck(absolute, {Tensor::of({1, 2})});
             }) == "gradcheck: input 0 must be f64, got f32");
  BOOST_TEST(error_of([] { gradgradcheck(absolute, {}); }) == "gradgradcheck: needs at least one input");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
