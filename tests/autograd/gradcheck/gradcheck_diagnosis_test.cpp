#include <tapegrad/autograd/gradcheck/diagnosis/diagnosis.h>
#include <tapegrad/autograd/gradcheck/gradcheck.h>

#include <tests/support/wrong_op.h>
#include <boost/test/unit_test.hpp>
#include <numeric>

namespace tapegrad {
namespace {

using namespace test;

/// y_j = sum_i a_ij b_j, by an op that checks nothing and writes one number for every element of b.
struct Careless final : Primitive {
  const char* name() const override { return "careless"; }
  Formula formula() const override { return "y_j = sum_i a_ij b_j"; }
  Shape shape(Views in, int) const override { return {in[0].shape[1]}; }
  void forward(Views in, Views out) const override {
    for (Index j = 0; j < in[1].size(); ++j) {
      double sum = 0;
      for (Index i = 0; i < in[0].shape[0]; ++i) sum += in[0].data<double>()[i * in[1].size() + j];
      out[0].data<double>()[j] = sum * in[1].data<double>()[j];
    }
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {broadcast_to(dy(p) * b(p), x(p).shape()), -(dy(p) * sum(x(p), {0}))};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_diagnosis)

BOOST_AUTO_TEST_CASE(several_inputs_are_told_each) {
  const GradcheckResult r =
      gradcheck(op<product>(PULL(-(dy(p) * b(p)), 2 * dy(p) * x(p))), {values({3, 4}), values({3, 4}, 3)});
  BOOST_TEST(
      r.diagnosis ==
      "wrong sign for input 0: analytic = -numeric, look for a lost or a spare minus in the pullback; factor "
      "2 for input 1: analytic = 2 numeric, look for a part added twice or a lost 1/2 in the pullback");
  const GradcheckResult half = gradcheck(op<product>(PULL(dy(p) * b(p) + 0.1 * exp(x(p)), 2 * dy(p) * x(p))),
                                         {values({3, 4}), values({3, 4}, 3)});
  BOOST_TEST(half.diagnosis ==
             "factor 2 for input 1: analytic = 2 numeric, look for a part added twice or a lost 1/2 in the "
             "pullback");  // nothing about input 0
}

BOOST_AUTO_TEST_CASE(what_was_not_chosen_is_looked_at_too) {
  const GradcheckResult r = gradcheck(op<cube>(PULL(transpose(right(p)))), {values({4, 4})}, {.elements = 5});
  BOOST_TEST(r.diagnosis ==
             "transposed for input 0: analytic = numeric with axes 0 and 1 swapped, look for a lost or a "
             "spare transpose in the pullback");
  BOOST_TEST(r.checked == 5);
  const GradcheckResult large = gradcheck(op<cube>(PULL(-right(p))), {values({20, 20})}, {.elements = 5});
  BOOST_TEST(large.diagnosis ==
             "wrong sign for input 0: analytic = -numeric, look for a lost or a spare minus in the pullback");
}

BOOST_AUTO_TEST_CASE(parameters_are_named_by_path) {
  ParameterStore params(3, DType::f64);
  const auto init = [](Tensor& t, RandomKey key) { t.copy_from(sample_values(t.shape(), -2, 2, key.value)); };
  const Parameter w = params.root().parameter("layer.weight", {3, 4}, init),
                  bias = params.root().parameter("layer.bias", {4}, init);
  const auto f = [&](const std::vector<Var>& in) {
    Tape& tape = in[0].tape();
    const Var h = apply(Elementwise<product>(half_negated), {in[0], tape[w]});
    return apply(Elementwise<product>(PULL(dy(p) * b(p), select(dy(p) * x(p), 0, 2))), {h, tape[bias]});
  };
  BOOST_TEST(
      gradcheck(f, {values({3, 4})}, params).diagnosis ==
      "wrong sign for parameter 'layer.weight': analytic = -numeric, look for a lost or a spare minus in the "
      "pullback; a broadcast is not summed for parameter 'layer.bias': input 1 of mine is broadcast from [4] "
      "to [3, 4] and analytic has only index 2 of axis 0, look for a lost sum_to, or = where += belongs");
}

BOOST_AUTO_TEST_CASE(second_gradients_have_a_diagnosis) {
  const CheckedFunction blind = op<cube>(PULL(3 * square(detach(x(p))) * dy(p)));
  BOOST_TEST(gradcheck(blind, {values({3, 4})}).ok);
  BOOST_TEST(gradgradcheck(blind, {values({3, 4})}).diagnosis ==
             "no gradient arrives for input 0: analytic is 0 everywhere, look for an empty Var or a detach "
             "in the pullback");
  const CheckedFunction wrong_inside = op<cube>([](const PullbackArgs& p) -> VarList {
    return {3 * dy(p) * apply(Elementwise<product>(half_lost), {x(p), x(p)})};
  });
  BOOST_TEST(gradcheck(wrong_inside, {values({3, 4})}).ok);
  BOOST_TEST(gradgradcheck(wrong_inside, {values({3, 4})}).diagnosis ==
             "a part is lost for input 0: it is used 2 times and analytic has only what comes through input "
             "0 of mine or input 1 of mine, look for = where += belongs or a use without a gradient; or "
             "factor 1/2 for input 0: analytic = numeric / 2, look for a lost factor 2 in the pullback");
}

BOOST_AUTO_TEST_CASE(what_changes_from_call_to_call_is_said_first) {
  int calls = 0;
  const auto f = [&](const std::vector<Var>& in) { return in[0] * (calls++ % 2 == 0 ? 1.0 : 2.0); };
  BOOST_TEST(gradcheck(f, {Tensor::of({1, 2}, DType::f64)}).diagnosis ==
             "the function changes when evaluated again: element [0] of the result is 1, then 2; look for "
             "randomness that is not a draw of the tape, or for state");
  static int pulls = 0;
  const auto g = op<cube>(PULL(right(p) * (1.0 + pulls++)));
  pulls = 1;
  BOOST_TEST(gradcheck(g, {Tensor::of({1, 2}, DType::f64)}, {.seed = 3}).diagnosis ==
             "the gradient changes when evaluated again: element [0] of input 0 is -3.60252062, then "
             "-5.40378093; look for randomness, state or memory that is not written in the pullback");
}

BOOST_AUTO_TEST_CASE(what_is_run_again_stays_within_what_an_op_was_written_for) {
  const auto f = [](const std::vector<Var>& in) { return apply(Careless{}, {in[0], in[1]}); };
  BOOST_TEST(gradcheck(f, {values({3, 4}), values({4}, 2)}).diagnosis ==
             "wrong sign for input 1: analytic = -numeric, look for a lost or a spare minus in the pullback");
  int calls = 0;
  const auto tired = [&](const std::vector<Var>& in) {
    expects(calls++ < 21, "no more");  // 1, and 5 stencils of 4 points
    return op<cube>(PULL(-right(p)))(in);
  };
  const GradcheckResult r = gradcheck(tired, {values({})});
  BOOST_TEST(!r.ok);
  BOOST_TEST(r.diagnosis == "");
}

BOOST_AUTO_TEST_CASE(what_is_right_has_no_diagnosis) {
  const Tensor wide = values({3, 4}), row = values({4}, 2);
  const CheckedFunction mine =
      op<product>(PULL(sum_to(dy(p) * b(p), x(p).shape()), sum_to(dy(p) * x(p), b(p).shape())));
  for (const GradcheckResult& r : {gradcheck(mine, {wide, row}), gradgradcheck(mine, {wide, row}),
                                   gradcheck(op<cube>(right_alone), {wide})}) {
    BOOST_TEST(r.ok, r.message);
    BOOST_TEST(r.diagnosis == "");
    BOOST_TEST(r.message.find("looks like") == std::string::npos, r.message);
  }
  const auto kinked = [](const std::vector<Var>& in) { return maximum(in[0], -in[0]); };
  const GradcheckResult kink = gradcheck(kinked, {Tensor::of({1, 0, -1}, DType::f64)});
  BOOST_TEST(!kink.ok);
  BOOST_TEST(kink.diagnosis == "");
}

BOOST_AUTO_TEST_CASE(unrelated_numbers_are_not_explained) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Shape shape = seed % 3 == 0 ? Shape{2, 2} : seed % 3 == 1 ? Shape{3, 4} : Shape{2, 3, 2};
    const auto size = static_cast<std::size_t>(shape.size());
    const auto numbers = [&](std::uint64_t key) {
      return sample_values(shape, -2, 2, 1000 * seed + key).to_vector();
    };
    const std::vector<double> cotangent = numbers(1);
    const auto subject = [&](const char* name, std::uint64_t key) {
      CheckedSubject s{name, shape, numbers(key), numbers(key + 1), {}, std::vector<bool>(size, true)};
      for (const char* transposed : {"", "input 2"}) {
        NumericJacobian& jacobian = s.jacobians.emplace_back(NumericJacobian{transposed, {}});
        for (std::size_t i = 0; i < size; ++i)
          jacobian.derivatives.push_back(numbers(key + 10 + i + 20 * s.jacobians.size()));
      }
      for (const std::vector<double>& derivatives : s.jacobians.front().derivatives)
        s.numeric.push_back(
            std::inner_product(derivatives.begin(), derivatives.end(), cotangent.begin(), 0.0));
      return s;
    };
    CheckedGradients all{{subject("input 0", 100), subject("input 1", 200)}, shape, numbers(2)};
    all.cotangent = cotangent;
    BOOST_TEST(diagnose(all) == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
