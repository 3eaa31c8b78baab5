#include <tapegrad/autograd/gradcheck/gradcheck.h>

#include <tests/support/wrong_op.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

using namespace test;

struct Mistake {
  const char* name;
  CheckedFunction f;
  std::vector<Tensor> inputs;
  std::string says;
};

void overwriting_row(const BackwardArgs& g) {
  const Index columns = g.doutputs[0].shape[1];
  for (Index i = 0; i < g.doutputs[0].size(); ++i) {
    g.dinputs[0].data<double>()[i] +=
        g.doutputs[0].data<double>()[i] * g.inputs[1].data<double>()[i % columns];
    g.dinputs[1].data<double>()[i % columns] =
        g.doutputs[0].data<double>()[i] * g.inputs[0].data<double>()[i];
  }
}

void overwriting_use(const BackwardArgs& g) {
  for (Index i = 0; i < g.doutputs[0].size(); ++i) {
    const double d = g.doutputs[0].data<double>()[i];
    g.dinputs[0].data<double>()[i] += d;
    g.dinputs[1].data<double>()[i] = d * std::cos(g.inputs[1].data<double>()[i]);
  }
}

void through_float(const BackwardArgs& g) {
  for (Index i = 0; i < g.dinputs[0].size(); ++i) {
    const float v = static_cast<float>(g.inputs[0].data<double>()[i]);
    g.dinputs[0].data<double>()[i] += static_cast<double>(3 * v * v) * g.doutputs[0].data<double>()[i];
  }
}

VarList rotated(const PullbackArgs& p) {
  const Var d = right(p), parts[] = {slice(d, 0, 2, 3), slice(d, 0, 0, 2)};
  return {concat(parts, 0)};
}

std::vector<Mistake> mistakes() {
  const Tensor square_one = values({3, 3}), wide = values({3, 4}), row = values({4}, 2),
               other = values({3, 4}, 3);
  return {
      {"sign",
       op<cube>(PULL(-right(p))),
       {wide},
       "wrong sign for input 0: analytic = -numeric, look for a lost or a spare minus in the pullback"},
      {"factor 2",
       op<cube>(PULL(2 * right(p))),
       {wide},
       "factor 2 for input 0: analytic = 2 numeric, look for a part added twice or a lost 1/2 in the "
       "pullback"},
      {"factor 2, an extent",
       op<cube>(PULL(2 * right(p))),
       {values({2, 3})},
       "factor 2 for input 0: analytic = 2 numeric, look for a part added twice or a lost 1/2 in the "
       "pullback (or a sum where a mean belongs, if 2 is the extent of axis 0)"},
      {"factor 1/2",
       op<cube>(PULL(right(p) / 2)),
       {wide},
       "factor 1/2 for input 0: analytic = numeric / 2, look for a lost factor 2 in the pullback"},
      {"mean for sum",
       op<cube>(PULL(right(p) / 4)),
       {wide},
       "factor 1/4 for input 0: analytic = numeric / 4 and 4 is the extent of axis 1, look for a mean where "
       "a sum belongs in the pullback"},
      {"sum for mean",
       op<cube>(PULL(-12 * right(p))),
       {wide},
       "factor -12 for input 0: analytic = -12 numeric and 12 is the number of elements, look for a sum "
       "where a mean belongs and a lost or a spare minus in the pullback"},
      {"scaling",
       op<cube>(PULL(right(p) * std::sqrt(3.0))),
       {wide},
       "factor sqrt(3) for input 0: analytic = sqrt(3) numeric and 3 is the extent of axis 0, look for a "
       "lost 1/sqrt(3) in the pullback"},
      {"any constant",
       op<cube>(PULL(right(p) * -0.3)),
       {wide},
       "constant factor for input 0: analytic = -0.3 numeric, look at the constants and the sign of the "
       "pullback"},
      {"an inverse",
       op<cube>(PULL(right(p) / 7)),
       {wide},
       "constant factor for input 0: analytic = numeric / 7, look at the constants of the pullback"},
      {"a constant as float",
       op<cube>(PULL(right(p) * (0.1F / 0.1))),
       {wide},
       "factor 1+1.5e-08 for input 0: analytic = numeric but for that, look for a constant rounded to float "
       "in the pullback"},
      {"one element",
       op<cube>(PULL(-right(p))),
       {values({})},
       "a wrong sign would fit for input 0, but only one element tells"},
      {"one element, 2",
       op<cube>(PULL(2 * right(p))),
       {values({1, 1})},
       "a factor 2 too much would fit for input 0, but only one element tells"},
      {"one element, 1/2",
       op<cube>(PULL(right(p) / 2)),
       {values({1})},
       "a lost factor 2 would fit for input 0, but only one element tells"},
      {"one element, 3", op<cube>(PULL(3 * right(p))), {values({})}, ""},
      {"transposed",
       op<cube>(PULL(transpose(right(p)))),
       {square_one},
       "transposed for input 0: analytic = numeric with axes 0 and 1 swapped, look for a lost or a spare "
       "transpose in the pullback"},
      {"layout",
       op<cube>(PULL(reshape(transpose(right(p)), {3, 4}))),
       {wide},
       "transposed for input 0: analytic = numeric with axes 0 and 1 swapped, in the shape of before, look "
       "for a lost or a spare transpose in the pullback"},
      {"layout the other way",
       op<cube>(PULL(transpose(reshape(right(p), {4, 3})))),
       {wide},
       "transposed for input 0: analytic = numeric with axes 0 and 1 swapped, in the shape of before, look "
       "for a lost or a spare transpose in the pullback"},
      {"axes of three",
       op<cube>(PULL(-transpose(right(p), 0, 2))),
       {values({2, 3, 2})},
       "transposed for input 0: analytic = -numeric with axes 0 and 2 swapped, look for a lost or a spare "
       "transpose and the sign in the pullback"},
      {"reversed",
       op<cube>(PULL(flip(right(p), 1))),
       {wide},
       "reversed for input 0: analytic = numeric backwards along axis 1, look at the indices in the "
       "pullback"},
      {"shifted",
       op<cube>(PULL(pad(slice(right(p), 1, 0, 3), 1, 1, 0))),
       {wide},
       "shifted for input 0: analytic = numeric moved by 1 along axis 1, look at the indices in the "
       "pullback"},
      {"shifted around",
       op<cube>(rotated),
       {values({5})},
       "shifted for input 0: analytic = numeric moved by -2 around the end along axis 0, look at the indices "
       "in the pullback"},
      {"smeared",
       op<cube>(PULL(broadcast_to(sum(right(p), {.axis = {0}, .keepdim = true}), {3, 4}))),
       {wide},
       "smeared for input 0: analytic = numeric summed along axis 0, look for a spare sum in the pullback"},
      {"broadcast, one row",
       op<product>(PULL(dy(p) * b(p), select(dy(p) * x(p), 0, 0))),
       {wide, row},
       "a broadcast is not summed for input 1: input 1 of mine is broadcast from [4] to [3, 4] and analytic "
       "has only index 0 of axis 0, look for a lost sum_to, or = where += belongs"},
      {"broadcast, mean",
       op<product>(PULL(dy(p) * b(p), mean(dy(p) * x(p), {0}))),
       {wide, row},
       "factor 1/3 for input 1: analytic = numeric / 3 and 3 is how often it is broadcast, look for a mean "
       "where a sum belongs in the pullback"},
      {"broadcast, partial",
       op<product>(PULL(dy(p) * b(p), sum(select(dy(p) * x(p), 1, 2), {0}))),
       {values({2, 3, 4}), row},
       "a broadcast is not summed for input 1: input 1 of mine is broadcast from [4] to [2, 3, 4] and "
       "analytic has only index 2 of axis 1, look for a lost sum_to, or = where += belongs"},
      {"broadcast, one element",
       op<product>(PULL(dy(p) * b(p), select(select(dy(p) * x(p), 0, 1), 0, 3))),
       {values({2, 5, 3}), values({3}, 2)},
       "a broadcast is not summed for input 1: input 1 of mine is broadcast from [3] to [2, 5, 3] and "
       "analytic has only index 1 of axis 0 and index 3 of axis 1, look for a lost sum_to, or = where += "
       "belongs"},
      {"broadcast, = for +=",
       op<product>(PULL(Var()), overwriting_row),
       {wide, row},
       "a broadcast is not summed for input 1: input 1 of mine is broadcast from [4] to [3, 4] and analytic "
       "has only index 2 of axis 0, look for a lost sum_to, or = where += belongs"},
      {"swapped",
       op<product>(PULL(dy(p) * x(p), dy(p) * b(p))),
       {wide, other},
       "the gradients of input 0 and input 1 are swapped: look at the order of what the pullback returns"},
      {"swapped and sign",
       op<product>(PULL(-(dy(p) * x(p)), -(dy(p) * b(p)))),
       {wide, other},
       "the gradients of input 0 and input 1 are swapped and have the wrong sign: look at the order and the "
       "signs of what the pullback returns"},
      {"swapped or signs",
       op<difference>(PULL(-dy(p), dy(p))),
       {wide, other},
       "the gradients of input 0 and input 1 are swapped, or both have the wrong sign: look at the order of "
       "what the pullback returns"},
      {"both signs",
       op<product>(PULL(-(dy(p) * b(p)), -(dy(p) * x(p)))),
       {wide, other},
       "wrong sign for input 0 and input 1: analytic = -numeric, look for a lost or a spare minus in the "
       "pullback"},
      {"another's",
       op<product>(PULL(dy(p) * x(p), dy(p) * x(p))),
       {wide, other},
       "the wrong input's gradient for input 0: analytic = numeric of input 1, look at the order of what the "
       "pullback returns"},
      {"cotangent",
       op<cube>(PULL(3 * square(x(p)))),
       {wide},
       "the cotangent is ignored for input 0: analytic is the gradient for a cotangent of ones, look for a "
       "lost factor p.cotangents[0] in the pullback"},
      {"nothing",
       op<product>(PULL(dy(p) * b(p), Var())),
       {wide, other},
       "no gradient arrives for input 1: analytic is 0 everywhere, look for an empty Var or a detach in the "
       "pullback"},
      {"something",
       op<first_of>(PULL(dy(p), dy(p))),
       {wide, other},
       "a gradient arrives for input 1 though the function does not depend on it: numeric is 0 everywhere, "
       "look at which input the pullback means"},
      {"a use lost",
       twice<product>(PULL(dy(p) * b(p), Var())),
       {wide},
       "a part is lost for input 0: it is used 2 times and analytic has only what comes through input 0 of "
       "mine or input 1 of mine, look for = where += belongs or a use without a gradient; or factor 1/2 for "
       "input 0: analytic = numeric / 2, look for a lost factor 2 in the pullback"},
      {"a factor of one of two equal uses",
       twice<product>(PULL(dy(p) * b(p), 2 * dy(p) * x(p))),
       {wide},
       "a wrong part for input 0: it is used 2 times and what comes through input 0 of mine or input 1 of "
       "mine has the factor 2, look at that in the pullback; or constant factor for input 0: analytic = 1.5 "
       "numeric, look at the constants of the pullback"},
      {"the sign of a use",
       twice<square_times_sine>(PULL(2 * dy(p) * x(p) * sin(b(p)), -(dy(p) * square(x(p)) * cos(b(p))))),
       {wide},
       "a wrong part for input 0: it is used 2 times and what comes through input 1 of mine has the factor "
       "-1, look at that in the pullback"},
      {"= for +=",
       twice<plus_sine>(PULL(Var(), Var()), overwriting_use),
       {wide},
       "a part is lost for input 0: it is used 2 times and analytic has only what comes through input 1 of "
       "mine, look for = where += belongs or a use without a gradient"},
      {"factor x",
       op<cube>(PULL(3 * x(p) * dy(p))),
       {wide},
       "a factor x is missing for input 0: analytic * x = numeric (x is the value of input 0), look at the "
       "chain rule in the pullback"},
      {"factor y",
       op<exponential>(PULL(-dy(p))),
       {wide},
       "a factor y is missing for input 0: analytic * y = -numeric (y is the result), look at the chain rule "
       "and the sign in the pullback"},
      {"factor 1 - y^2",
       op<hyperbolic>(PULL(dy(p))),
       {wide},
       "a factor (1 - y^2) is missing for input 0: analytic * (1 - y^2) = numeric (y is the result), look at "
       "the chain rule in the pullback"},
      {"x for y",
       op<hyperbolic>(PULL(dy(p) * (1 - square(x(p))))),
       {wide},
       "(1 - x^2) stands where (1 - y^2) belongs for input 0: analytic = numeric * (1 - x^2) / (1 - y^2) (x "
       "is the value of input 0, y is the result), look at the values in the pullback"},
      {"spare y",
       op<exponential>(PULL(dy(p) * square(y(p)))),
       {wide},
       "a factor y too many for input 0: analytic = numeric * y (y is the result), look at the chain rule in "
       "the pullback"},
      {"factor of the other",
       op<product>(PULL(dy(p), dy(p) * x(p))),
       {wide, other},
       "a factor [input 1] is missing for input 0: analytic * [input 1] = numeric, look at the chain rule in "
       "the pullback"},
      {"mask",
       op<one_sided>(PULL(2 * x(p) * dy(p))),
       {wide},
       "a mask is missing for input 0: where numeric is 0, analytic is not (5 of 12, first [0, 0]), the "
       "others are right, look for a lost where() or mask in the pullback"},
      {"mask too wide",
       op<two_sided>(PULL(where(greater(x(p), 0 * x(p)), 2 * x(p) * dy(p), 0 * dy(p)))),
       {wide},
       "a mask hides too much for input 0: analytic is 0 where numeric is not (5 of 12, first [0, 0]), the "
       "others are right, look at where() and the bounds of loops in the pullback"},
      {"bounds",
       op<cube>(PULL(pad(slice(right(p), 0, 0, 2), 0, 0, 1))),
       {wide},
       "a mask hides too much for input 0: analytic is 0 where numeric is not (4 of 12, all of row 2), the "
       "others are right, look at where() and the bounds of loops in the pullback"},
      {"wrong in a column",
       op<cube>(PULL(right(p) * p.cotangents[0].tape().constant({1, 1, -1, 1}))),
       {wide},
       "only some elements are wrong for input 0: 3 of 12, all of column 2, there analytic = -numeric, look "
       "at the indices and branches of the pullback"},
      {"wrong in two",
       op<cube>(PULL(right(p) + p.cotangents[0].tape().constant({{0, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 0, 1}}))),
       {wide},
       "only some elements are wrong for input 0: 2 of 12, first [1, 1], look at the indices and branches of "
       "the pullback"},
      {"nan",
       op<cube>(PULL(right(p) * x(p) / x(p))),
       {Tensor::of({1, 0, 2}, DType::f64)},
       "not finite for input 0: analytic is nan (1 of 3, first [1]), look for a division by 0 or the edge of "
       "a domain in the pullback"},
      {"domain",
       op<[](double v) { return std::log(v); }>(PULL(dy(p) / x(p))),
       {Tensor::of({1, -1, 2}, DType::f64)},
       "the function is not finite: element [1] of the result is nan, check inside its domain"},
      {"float",
       op<cube>(PULL(Var()), through_float),
       {wide},
       "float precision for input 0: analytic and numeric agree to 7e-08 only, look for a float on the way"},
      {"no mistake that is known", op<cube>(PULL(right(p) + 0.1 * exp(x(p)))), {wide}, ""},
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_mistakes)

BOOST_AUTO_TEST_CASE(every_usual_mistake_is_named) {
  for (const Mistake& mistake : mistakes()) {
    const GradcheckResult r = gradcheck(mistake.f, mistake.inputs);
    BOOST_TEST(!r.ok, mistake.name);
    BOOST_TEST(r.diagnosis == mistake.says, mistake.name << ": " << r.message);
    BOOST_TEST(r.message.ends_with(mistake.says), r.message);
    BOOST_TEST((r.message.find("; looks like: ") != std::string::npos) == !r.diagnosis.empty(), r.message);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
