#include <tapegrad/autograd/gradcheck/gradcheck.h>

#include <tests/support/wrong_op.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

using namespace test;

/// y = a w + bias of rows, with a shape rule that takes a bias of [out] alone; the pullback is the test's.
struct Affine final : Primitive {
  Pull pull;
  Raw raw;
  explicit Affine(Pull written, Raw looped = nullptr) : pull(written), raw(looped) {}
  const char* name() const override { return "affine"; }
  Formula formula() const override { return "y = a w + bias"; }
  Shape shape(Views in, int) const override {
    expects(in.size() < 3 || in[2].shape == Shape{in[1].shape[1]}, "affine: shapes");
    Shape result = in[0].shape;
    result[result.rank() - 1] = in[1].shape[1];
    return result;
  }
  void forward(Views in, Views out) const override {
    const Index inner = in[1].shape[0], columns = in[1].shape[1];
    for (Index i = 0; i < out[0].size(); ++i) {
      double sum = in.size() < 3 ? 0 : in[2].data<double>()[i % columns];
      for (Index k = 0; k < inner; ++k)
        sum +=
            in[0].data<double>()[i / columns * inner + k] * in[1].data<double>()[k * columns + i % columns];
      out[0].data<double>()[i] = sum;
    }
  }
  VarList pullback(const PullbackArgs& p) const override { return pull(p); }
  bool has_backward() const override { return raw != nullptr; }
  void backward(const BackwardArgs& args) const override { raw(args); }
};

/// y = softmax of rows; the pullback is the test's.
struct Softmax final : Primitive {
  Pull pull;
  explicit Softmax(Pull written) : pull(written) {}
  const char* name() const override { return "soft"; }
  Formula formula() const override { return "y = softmax x"; }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    const Index columns = in[0].shape[1];
    for (Index i = 0; i < out[0].size(); ++i) {
      const double* row = in[0].data<double>() + i / columns * columns;
      double sum = 0;
      for (Index k = 0; k < columns; ++k) sum += std::exp(row[k]);
      out[0].data<double>()[i] = std::exp(row[i % columns]) / sum;
    }
  }
  VarList pullback(const PullbackArgs& p) const override { return pull(p); }
};

/// y_i = x_k of rows k = 0, 1, 0, 2, 1, whose loop overwrites.
struct Taken final : Primitive {
  static constexpr Index rows[] = {0, 1, 0, 2, 1};
  const char* name() const override { return "taken"; }
  Formula formula() const override { return "y_i = x_k"; }
  Shape shape(Views in, int) const override { return {5, in[0].shape[1]}; }
  void forward(Views in, Views out) const override {
    const Index columns = in[0].shape[1];
    for (Index i = 0; i < out[0].size(); ++i)
      out[0].data<double>()[i] = in[0].data<double>()[rows[i / columns] * columns + i % columns];
  }
  VarList pullback(const PullbackArgs&) const override { return {Var()}; }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& g) const override {
    const Index columns = g.inputs[0].shape[1];
    for (Index i = 0; i < g.doutputs[0].size(); ++i)
      g.dinputs[0].data<double>()[rows[i / columns] * columns + i % columns] =
          g.doutputs[0].data<double>()[i];
  }
};

CheckedFunction affine(Pull pull, Raw raw = nullptr) {
  return [=](const std::vector<Var>& in) {
    const Affine mine(pull, raw);
    return in.size() == 2 ? apply(mine, {in[0], in[1]}) : apply(mine, {in[0], in[1], in[2]});
  };
}
CheckedFunction soft(Pull pull) {
  return [=](const std::vector<Var>& in) { return apply(Softmax(pull), {in[0]}); };
}

Var t(const Var& v) { return transpose(v); }
Var right_a(const PullbackArgs& p) { return matmul(dy(p), t(b(p))); }
Var right_w(const PullbackArgs& p) { return matmul(t(x(p)), dy(p)); }
Var batch_w(const PullbackArgs& p) { return sum(right_w(p), {0}); }

/// A raw backward with `=` for `+=` in the gradients of w and of the bias.
void overwriting(const BackwardArgs& g) {
  const Index inner = g.inputs[1].shape[0], columns = g.inputs[1].shape[1];
  for (Index i = 0; i < g.doutputs[0].size(); ++i) {
    const double d = g.doutputs[0].data<double>()[i];
    for (Index k = 0; k < inner; ++k) {
      const Index a = i / columns * inner + k, w = k * columns + i % columns;
      g.dinputs[0].data<double>()[a] += d * g.inputs[1].data<double>()[w];
      g.dinputs[1].data<double>()[w] = d * g.inputs[0].data<double>()[a];
    }
    g.dinputs[2].data<double>()[i % columns] = d;
  }
}

struct Mistake {
  const char* name;
  CheckedFunction f;
  std::vector<Tensor> inputs;
  std::string says;
};

std::vector<Mistake> mistakes() {
  const Tensor a = values({3, 4}), w = values({4, 5}, 2), bias = values({5}, 3), one = values({3, 3}, 4),
               two = values({3, 3}, 5), square_w = values({4, 4}, 6), batch = values({2, 3, 4}, 7);
  const std::string a_sum = "a sum over axis 0 of the result is lost for input ",
                    add = ", look for = where += belongs, or a lost sum in the pullback",
                    look = " transposed, look for a lost or a spare transpose";
  return {
      {"bias, first row",
       affine(PULL(right_a(p), right_w(p), select(dy(p), 0, 0))),
       {a, w, bias},
       a_sum + "2: analytic has only what comes through index 0 of axis 0" + add},
      {"= for +=",
       affine(PULL(Var()), overwriting),
       {a, w, bias},
       "a sum over axis 0 of the result is lost for input 1 and input 2: analytic has only what comes "
       "through index 2 of axis 0" +
           add},
      {"bias, one of two axes",
       affine(PULL(right_a(p), batch_w(p), select(sum(dy(p), {1}), 0, 1))),
       {batch, w, bias},
       a_sum + "2: analytic has only what comes through index 1 of axis 0" + add},
      {"bias, two axes",
       affine(PULL(Var(), Var(), select(select(dy(p), 0, 1), 0, 0))),
       {batch, w, bias},
       "no gradient arrives for input 0 and input 1: analytic is 0 everywhere, look for an empty Var or a "
       "detach in the pullback; a sum over axes 0 and 1 of the result is lost for input 2: analytic has only "
       "what comes through index 1 of axis 0 and index 0 of axis 1" +
           add},
      {"bias, all but the last row",
       affine(PULL(right_a(p), right_w(p), sum(slice(dy(p), 0, 0, 2), {0}))),
       {a, w, bias},
       "a sum over axis 0 of the result is not whole for input 2: analytic lacks what comes through index 2 "
       "of axis 0, look at the bounds of loops in the pullback"},
      {"b for b transposed",
       affine(PULL(matmul(dy(p), b(p)), right_w(p))),
       {one, two},
       "a factor is transposed for input 0: analytic = numeric with input 1" + look + " in the pullback"},
      {"b for b transposed, rows",
       affine(PULL(matmul(dy(p), b(p)), right_w(p))),
       {a, square_w},
       "a factor is transposed for input 0: analytic = numeric with input 1" + look + " in the pullback"},
      {"b for b transposed, batch",
       affine(PULL(-matmul(dy(p), b(p)), batch_w(p))),
       {batch, square_w},
       "a factor is transposed for input 0: analytic = -numeric with input 1" + look +
           " and the sign in the pullback"},
      {"a for a transposed",
       affine(PULL(right_a(p), matmul(x(p), dy(p)))),
       {one, two},
       "a factor is transposed for input 1: analytic = numeric with input 0" + look + " in the pullback"},
      {"the cotangent",
       affine(PULL(matmul(t(dy(p)), t(b(p))), right_w(p))),
       {one, two},
       "a factor is transposed for input 0: analytic = numeric with the cotangent" + look +
           " in the pullback"},
      {"the cotangent and b",
       affine(PULL(matmul(t(dy(p)), b(p)), right_w(p))),
       {one, two},
       "a factor is transposed for input 0: analytic = numeric with input 1 and the cotangent" + look +
           " in the pullback"},
      {"the order",
       affine(PULL(matmul(t(b(p)), dy(p)), right_w(p))),
       {one, two},
       "a factor is transposed for input 0: analytic = numeric with input 1, the cotangent and the gradient "
       "itself" +
           look + ", the order of a product in the pullback"},
      {"diagonal",
       soft(PULL(dy(p) * y(p) * (1 - y(p)))),
       {a},
       "only the diagonal of the Jacobian for input 0: analytic has of every element of the result what "
       "comes from the same element alone, look for a lost sum in the pullback"},
      {"y dy",
       soft(PULL(dy(p) * y(p))),
       {a},
       "the sum of a softmax is lost for input 0: analytic = y dy and numeric = y (dy - sum(y dy)) (y is the "
       "result), look for a lost term in the pullback"},
      {"= for += of what is taken several times",
       [](const std::vector<Var>& in) { return apply(Taken{}, {in[0]}); },
       {a},
       "a sum over the result is lost for input 0: analytic has only what comes through the last element of "
       "the result that each element reaches, look for = where += belongs in the pullback"},
      {"all but the diagonal",
       soft(PULL(dy(p) * square(y(p)) - y(p) * sum(dy(p) * y(p), {.axis = {1}, .keepdim = true}))),
       {a},
       "the diagonal of the Jacobian is lost for input 0: analytic lacks what comes to every element of the "
       "result from the same element, look for a lost term in the pullback"},
      {"mask",
       op<one_sided>(PULL(where(greater(x(p), 0 * x(p)), 0 * dy(p), 2 * x(p) * dy(p)))),
       {a},
       "a mask is the wrong way round for input 0: analytic is 0 where numeric is not (7 of 12, first [0, "
       "1]) and only there, look at the condition of where() or the mask in the pullback"},
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_jacobian)

BOOST_AUTO_TEST_CASE(what_a_result_lacks_or_has_transposed_is_named) {
  for (const Mistake& mistake : mistakes()) {
    const GradcheckResult r = gradcheck(mistake.f, mistake.inputs);
    BOOST_TEST(!r.ok, mistake.name);
    BOOST_TEST(r.diagnosis == mistake.says, mistake.name << ": " << r.message);
  }
}

BOOST_AUTO_TEST_CASE(it_is_named_for_parameters_and_for_some_elements_too) {
  ParameterStore params(3, DType::f64);
  const auto init = [](Tensor& v, RandomKey key) { v.copy_from(sample_values(v.shape(), -2, 2, key.value)); };
  const Parameter w = params.root().parameter("layer.weight", {4, 4}, init),
                  bias = params.root().parameter("layer.bias", {4}, init);
  const std::vector<double> before = w.value().to_vector();
  const auto f = [&](const std::vector<Var>& in) {
    Tape& tape = in[0].tape();
    return tanh(
        apply(Affine(PULL(right_a(p), right_w(p), select(dy(p), 0, 2))), {in[0], tape[w], tape[bias]}));
  };
  BOOST_TEST(gradcheck(f, {values({3, 4})}, params, {.elements = 3}).diagnosis ==
             "a sum over axis 0 of the result is lost for parameter 'layer.bias': analytic has only what "
             "comes through index 2 of axis 0, look for = where += belongs, or a lost sum in the pullback");
  const auto g = [&](const std::vector<Var>& in) {
    Tape& tape = in[0].tape();
    return apply(Affine(PULL(matmul(dy(p), b(p)), right_w(p), sum(dy(p), {0}))),
                 {in[0], tape[w], tape[bias]});
  };
  BOOST_TEST(gradcheck(g, {values({3, 4})}, params).diagnosis ==
             "a factor is transposed for input 0: analytic = numeric with parameter 'layer.weight' "
             "transposed, look for a lost or a spare transpose in the pullback");
  BOOST_TEST(w.value().to_vector() == before);
}

BOOST_AUTO_TEST_CASE(what_nothing_explains_has_no_diagnosis) {
  for (const Pull pull : {Pull(PULL(right_a(p) + 0.1 * exp(x(p)), right_w(p))),
                          Pull(PULL(matmul(matmul(dy(p), b(p)), b(p)), right_w(p)))})
    BOOST_TEST(gradcheck(affine(pull), {values({3, 3}), values({3, 3}, 2)}).diagnosis == "");
  // one element alone does not tell
  BOOST_TEST(gradcheck(affine(PULL(right_a(p), right_w(p), select(dy(p), 0, 0))),
                       {values({3, 4}), values({4, 1}), values({1})})
                 .diagnosis == "");
}

BOOST_AUTO_TEST_CASE(a_function_that_does_not_take_an_input_transposed_is_left_alone) {
  const auto f = [](const std::vector<Var>& in) {
    expects(in[1].value().at({0, 1}) > in[1].value().at({1, 0}), "only so");
    return apply(Affine(PULL(-right_a(p), right_w(p))), {in[0], in[1]});
  };
  BOOST_TEST(gradcheck(f, {values({2, 2}), Tensor::of({{1, 2}, {-2, 1}}, DType::f64)}).diagnosis ==
             "wrong sign for input 0: analytic = -numeric, look for a lost or a spare minus in the pullback");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
