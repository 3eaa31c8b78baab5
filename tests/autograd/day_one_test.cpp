// Lines that a user of PyTorch or NumPy writes on the first day, with the values that they give there. Only
// the umbrella header is included.
#include <tapegrad/tapegrad.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <boost/test/unit_test.hpp>

namespace tapegrad {
namespace {

using test::check_near;
using test::check_values;
using test::error_of;

struct Fixture {
  Tape tape{{.dtype = DType::f64}};
  Var x = tape.variable({{1, -2, 3}, {-4, 5, -6}});
  Var y = tape.variable({{2, -2, 0}, {1, 1, 1}});
  Tensor t = Tensor::of({10, 20, 30}, DType::f64);

  /// Ops recorded by `record`.
  template <class F>
  std::vector<std::string> nodes(F record) {
    const std::size_t before = tape.size();
    record();
    std::vector<std::string> names;
    for (std::size_t i = before; i < tape.size(); ++i) {
      const Op* op = tape.node(static_cast<std::uint32_t>(i)).op;
      names.emplace_back(op != nullptr ? op->name() : "leaf");
    }
    return names;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(day_one, Fixture)

BOOST_AUTO_TEST_CASE(arithmetic_of_a_var_with_a_tensor) {
  check_values((x - t).value(), {2, 3}, {-9, -22, -27, -14, -15, -36});
  check_values((t - x).value(), {2, 3}, {9, 22, 27, 14, 15, 36});
  check_values((x + t).value(), {2, 3}, {11, 18, 33, 6, 25, 24});
  check_values((t + x).value(), {2, 3}, {11, 18, 33, 6, 25, 24});
  check_values((t * x).value(), {2, 3}, {10, -40, 90, -40, 100, -180});
  check_values((x * t).value(), {2, 3}, {10, -40, 90, -40, 100, -180});
  check_values((x / t).value(), {2, 3}, {0.1, -0.1, 0.1, -0.4, 0.25, -0.2});
  check_values((t / x)[0].value(), {3}, {10, -10, 10});
  const Gradients g = sum(t * x).backward();
  check_values(g[x], {2, 3}, {10, 20, 30, 10, 20, 30});
  check_values((x * Tensor::of({1, 0, 1}, DType::boolean)).value(), {2, 3}, {1, 0, 3, -4, 0, -6});
  check_values((x * Tensor::ids({1, 2, 3})).value(), {2, 3}, {1, -4, 9, -4, 10, -18});
  BOOST_TEST(
      error_of([&] {
        x + Tensor::of({1, 2, 3});
      }) ==
      "constant: a f32 tensor of shape [3] on a tape that computes in f64; convert it with to(DType::f64)");
  BOOST_TEST(error_of([&] { Var() + t; }) == "constant: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_CASE(a_number_makes_one_node) {
  for (const auto& names : {nodes([&] { x * 2 + 1; }), nodes([&] { 1 - x / 2; })})
    BOOST_TEST(names == (std::vector<std::string>{"affine", "affine"}), boost::test_tools::per_element());
  check_values((x * x + 1).value(), {2, 3}, {2, 5, 10, 17, 26, 37});
  check_values((std::sqrt(4.0) * x).value(), {2, 3}, {2, -4, 6, -8, 10, -12});
  check_values(pow(x, 2).value(), {2, 3}, {1, 4, 9, 16, 25, 36});
}

BOOST_AUTO_TEST_CASE(compound_assignment_names_the_new_value) {
  Var z = x;
  z += y;
  check_values(z.value(), {2, 3}, {3, -4, 3, -3, 6, -5});
  z -= t;
  z *= 2;
  z /= y + 4;
  check_near(z[0][{0, 2}].value(), {2}, {-7. / 3, -24});
  const Gradients g = tape.backward(z[0][0]);  // 2 (x + y - t) / (y + 4)
  check_near(g[x][0], {3}, {1. / 3, 0, 0});
  check_values(x.value()[1], {3}, {-4, 5, -6});
}

BOOST_AUTO_TEST_CASE(comparisons) {
  const auto m = x > 0;
  BOOST_TEST((m.dtype() == DType::boolean));
  check_values(m, {2, 3}, {1, 0, 1, 0, 1, 0});
  check_values(greater(x, 0.0), {2, 3}, {1, 0, 1, 0, 1, 0});
  check_values(0 < x, {2, 3}, {1, 0, 1, 0, 1, 0});
  check_values(x >= y, {2, 3}, {0, 1, 1, 0, 1, 0});
  check_values(x < y, {2, 3}, {1, 0, 0, 1, 0, 1});
  check_values(x <= -2, {2, 3}, {0, 1, 0, 1, 0, 1});
  check_values(x == -2, {2, 3}, {0, 1, 0, 0, 0, 0});
  check_values(x != y, {2, 3}, {1, 0, 1, 1, 1, 1});
  check_values(x > t, {2, 3}, {0, 0, 0, 0, 0, 0});
  check_values(t > x, {2, 3}, {1, 1, 1, 1, 1, 1});
}

BOOST_AUTO_TEST_CASE(the_truth_of_a_comparison_is_that_of_its_one_element) {
  const Var loss = sum(x);  // -3
  BOOST_TEST((loss < 0.1 ? 1 : 2) == 1);
  BOOST_TEST((loss > 0.1 ? 1 : 2) == 2);
  BOOST_TEST((less(loss, 0.1) ? 1 : 2) == 1);
  BOOST_TEST((greater(0.1, loss) && !equal(loss, loss + 1)));
  BOOST_TEST(error_of([&] { return x > 0 ? 1 : 2; }) ==
             "comparison: the truth value of 6 elements of shape [2, 3] is ambiguous; reduce the operands to "
             "scalars");
}

BOOST_AUTO_TEST_CASE(numbers_in_any_place) {
  check_values(maximum(x, 0.0).value(), {2, 3}, {1, 0, 3, 0, 5, 0});
  check_values(maximum(0, x).value(), {2, 3}, {1, 0, 3, 0, 5, 0});
  check_values(minimum(x, 0).value(), {2, 3}, {0, -2, 0, -4, 0, -6});
  check_values(minimum(Tensor::of({0, 0, 9}, DType::f64), x).value(), {2, 3}, {0, -2, 3, -4, 0, -6});
  check_values(where(greater(x, y), x, 0.0).value(), {2, 3}, {0, 0, 3, 0, 5, 0});
  check_values(where(x > 0, 1.0, x).value(), {2, 3}, {1, -2, 1, -4, 1, -6});
  check_values(where(x > 0, t, x).value(), {2, 3}, {10, -2, 30, -4, 20, -6});
  check_values(tape.backward(sum(where(x > 0, x, 0.0)))[x], {2, 3}, {1, 0, 1, 0, 1, 0});
  check_values(tape.backward(sum(maximum(x, 0.0)))[x], {2, 3}, {1, 0, 1, 0, 1, 0});
}

BOOST_AUTO_TEST_CASE(elements_and_ranges) {
  check_values(x[0].value(), {3}, {1, -2, 3});
  check_values(x[-1].value(), {3}, {-4, 5, -6});
  check_values(x[{0, 1}].value(), {1, 3}, {1, -2, 3});
  check_values(x[{.begin = -1}].value(), {1, 3}, {-4, 5, -6});
  check_values(x[1][{.begin = 0, .end = -1}].value(), {2}, {-4, 5});
  check_values(slice(x, {0, 1}, {2, 3}).value(), {2, 2}, {-2, 3, 5, -6});
  check_values(slice(x, {-1, 0}, {2, -1}).value(), {1, 2}, {-4, 5});
  check_values(tape.backward(sum(slice(x, {0, 1}, {2, 3})))[x], {2, 3}, {0, 1, 1, 0, 1, 1});
  check_values(tape.backward(x[1][2])[x], {2, 3}, {0, 0, 0, 0, 0, 1});
  BOOST_TEST(error_of([&] { x[2]; }) ==
             "select: index 2 is out of range for axis 0 of shape [2, 3], which has extent 2");
  BOOST_TEST(error_of([&] {
               x[{1, 3}];
             }) == "slice: 1:3 is out of range for axis 0 of shape [2, 3], which has extent 2");
  BOOST_TEST(error_of([&] {
               slice(x, {0, 2}, {1, 1});
             }) == "slice: 2:1 is out of range for axis 1 of shape [1, 3], which has extent 3");
  BOOST_TEST(error_of([&] {
               slice(x, {0}, {1, 1});
             }) ==
             "slice: 1 begins and 2 ends for shape [2, 3]; one of each is needed for each of the first axes");
  BOOST_TEST(error_of([&] { sum(x)[{0, 1}]; }) == "slice: a scalar has no axis to cut");
}

BOOST_AUTO_TEST_CASE(elements_and_ranges_of_a_tensor_share_its_memory) {
  Tensor m = Tensor::of({{1, 2}, {3, 4}, {5, 6}});
  Tensor last = m[-1], middle = m[{1, 2}];
  check_values(last, {2}, {5, 6});
  check_values(middle, {1, 2}, {3, 4});
  middle.fill(9);
  check_values(m, {3, 2}, {1, 2, 9, 9, 5, 6});
  BOOST_TEST(error_of([&] { m[3]; }) ==
             "tensor: index 3 is out of range for axis 0 of shape [3, 2], which has extent 3");
  BOOST_TEST(error_of([&] {
               m[{2, 4}];
             }) == "tensor: 2:4 is out of range for axis 0 of shape [3, 2], which has extent 3");
  BOOST_TEST(error_of([&] { x.value()[0].fill(1); }) ==
             "tensor: recorded values are read-only; write to a clone() of this [3] tensor");
}

BOOST_AUTO_TEST_CASE(members) {
  BOOST_TEST(x.sum().item() == -3);
  check_values(x.sum(0).value(), {3}, {-3, 3, -3});
  check_values(x.sum({.axis = -1, .keepdim = true}).value(), {2, 1}, {2, -5});
  BOOST_TEST(x.mean().item() == -0.5);
  check_values(x.mean(0).value(), {3}, {-1.5, 1.5, -1.5});
  check_values(x.mean({.axis = {0, 1}, .keepdim = true}).value(), {1, 1}, {-0.5});
  check_values(x.reshape({3, -1}).value(), {3, 2}, {1, -2, 3, -4, 5, -6});
  check_values(x.transpose().value(), {3, 2}, {1, -4, -2, 5, 3, -6});
  check_values(x.sum().backward()[x], {2, 3}, {1, 1, 1, 1, 1, 1});
}

BOOST_AUTO_TEST_CASE(reductions_take_named_options) {
  check_values(sum(x, {.axis = -1, .keepdim = true}).value(), {2, 1}, {2, -5});
  check_values(sum(x, {.keepdim = true}).value(), {1, 1}, {-3});
  check_values(max(x, {.axis = 0, .keepdim = true}).value(), {1, 3}, {1, 5, 3});
  check_values(min(x, {.axis = {0, 1}}).value(), {}, {-6});
  check_values(norm(tape.constant({{3, 0}, {0, 4}})).value(), {}, {5});
  check_near(var(x, 0).value(), {3}, {6.25, 12.25, 20.25});
  check_near(var(x, {.axis = 1, .keepdim = true, .correction = 1}).value()[{1, 2}], {1, 1}, {103. / 3});
  check_values(argmax(x, {.axis = 1, .keepdim = true}), {2, 1}, {2, 1});
  check_values(softmax(x - x, -1).value()[{0, 1}], {1, 3}, {1. / 3, 1. / 3, 1. / 3});
  const Var cube = tape.variable(Tensor::uniform({2, 3, 4}, -1, 1, 5, DType::f64));
  const Tensor apart = max(cube, {.axis = {0, 2}, .keepdim = true}).value();
  BOOST_TEST(
      identical(apart, max(max(cube, {.axis = 2, .keepdim = true}), {.axis = 0, .keepdim = true}).value()));
  BOOST_TEST(gradcheck(
                 [](const std::vector<Var>& in) {
                   return norm(in[0], {.axis = {0, 2}});
                 },
                 {cube.value()})
                 .ok);
  BOOST_TEST(error_of([&] { max(x, {.axis = std::initializer_list<int>{}}); }) ==
             "max: the list of axes of shape [2, 3] is empty");
}

BOOST_AUTO_TEST_CASE(arithmetic_of_tensors) {
  const Tensor a = Tensor::of({{1, 2}, {3, 4}}), b = Tensor::of({10, 20});
  check_values(a + b, {2, 2}, {11, 22, 13, 24});
  check_values(a - b, {2, 2}, {-9, -18, -7, -16});
  check_values(a * b, {2, 2}, {10, 40, 30, 80});
  check_near(b / a, {2, 2}, {10, 10, 20. / 6, 5});
  check_values(1 - 2 * a / 4 + 3, {2, 2}, {3.5, 3, 2.5, 2});
  check_values(-a, {2, 2}, {-1, -2, -3, -4});
  check_near(6 / b, {2}, {0.6, 0.3});
  check_values(Tensor::ids({1, 0}) * b, {2}, {10, 0});
  Tensor c = a.clone();
  const Tensor handle = c;
  c += b;
  c *= 2;
  c -= 1;
  c /= Tensor::of({1, 5});
  check_near(handle, {2, 2}, {21, 8.6, 25, 9.4});
}

BOOST_AUTO_TEST_CASE(random_tensors_have_the_same_bits_everywhere) {
  const Tensor normal = Tensor::randn({200, 50}), flat = Tensor::uniform({200, 50}, -1, 1);
  BOOST_TEST(normal.at({0, 0}) == double{static_cast<float>(standard_normal(random_key(0, 0, 0, 0), 0))});
  BOOST_TEST(flat.at({3, 7}) ==
             double{static_cast<float>(-1 + 2 * uniform01(random_key(0, 0, 0, 0), 3 * 50 + 7))});
  BOOST_TEST(identical(normal, Tensor::randn({200, 50}, 0)));
  BOOST_TEST(!identical(normal, Tensor::randn({200, 50}, 1)));
  check_values(Tensor::randn({3}, 7), {3}, {-0.57899856567382812, 0.8089028000831604, -1.6056274175643921});
  check_values(Tensor::uniform({3}, 0, 1, 7), {3},
               {0.83662784099578857, 0.79797452688217163, 0.76641404628753662});
  const auto moments = [](const Tensor& values) {
    double sum = 0, squares = 0;
    for (const double v : values.to_vector()) sum += v, squares += v * v;
    const auto n = static_cast<double>(values.size());
    return std::pair(sum / n, squares / n - sum / n * sum / n);
  };
  const auto [mean, variance] = moments(normal);
  BOOST_TEST(std::abs(mean) < 0.03);
  BOOST_TEST(std::abs(variance - 1) < 0.04);
  const auto [centre, spread] = moments(flat);
  BOOST_TEST(std::abs(centre) < 0.02);
  BOOST_TEST(std::abs(spread - 1. / 3) < 0.01);
  BOOST_TEST(error_of([] { Tensor::randn({2}, 0, DType::i64); }) ==
             "tensor: random values need a floating dtype, got i64");
  BOOST_TEST(error_of([] { Tensor::uniform({2}, 1, -1); }) == "uniform: low 1 is above high -1");
}

BOOST_AUTO_TEST_CASE(a_loss_and_its_gradients) {
  const Var loss = mse_loss(x, y);  // (1 + 0 + 9 + 25 + 16 + 49) / 6
  BOOST_TEST(std::abs(loss.item() - 100. / 6) < 1e-14);
  check_near(loss.backward()[x], {2, 3}, {-1. / 3, 0, 1, -5. / 3, 4. / 3, -7. / 3});
  BOOST_TEST(mse_loss(x, y.value()).item() == loss.item());
  BOOST_TEST(error_of([&] { mse_loss(x, t); }) ==
             "mse_loss: prediction [2, 3] and target [3] differ in shape; they are not broadcast, see "
             "broadcast_to");
  BOOST_TEST(error_of([&] {
               mse_loss(x, reshape(y, {3, 2}));
             }) == "mse_loss: prediction [2, 3] and target [3, 2] differ in shape; reshape one of them");
}

BOOST_AUTO_TEST_CASE(arithmetic_of_a_var_with_a_parameter) {
  ParameterStore params(1, DType::f64);
  const Parameter w = params.root().parameter("w", {3}, [](Tensor& v, RandomKey) {
    v.copy_from(Tensor::of({2, 4, 5}, DType::f64));
  });
  check_values((x + w).value(), {2, 3}, {3, 2, 8, -2, 9, -1});
  check_values((w + x).value(), {2, 3}, {3, 2, 8, -2, 9, -1});
  check_values((x - w).value(), {2, 3}, {-1, -6, -2, -6, 1, -11});
  check_values((w - x).value(), {2, 3}, {1, 6, 2, 6, -1, 11});
  check_values((x * w).value(), {2, 3}, {2, -8, 15, -8, 20, -30});
  check_values((w * x).value(), {2, 3}, {2, -8, 15, -8, 20, -30});
  check_values((x / w).value(), {2, 3}, {0.5, -0.5, 0.6, -2, 1.25, -1.2});
  check_values((w / x)[0].value(), {3}, {2, -2, 5. / 3});
  check_values(maximum(x, w).value(), {2, 3}, {2, 4, 5, 2, 5, 5});
  check_values(minimum(w, x).value(), {2, 3}, {1, -2, 3, -4, 4, -6});
  Var z = x;
  z += w;
  z *= w;
  z -= w;
  z /= w;
  check_values(z.value(), {2, 3}, {2, 1, 7, -3, 8, -2});
  const Gradients g = tape.backward(sum(w * x));
  check_values(g[w], {3}, {-3, 3, -3});
  check_values(g[x], {2, 3}, {2, 4, 5, 2, 4, 5});
  const auto names = nodes([&] { x* w; });
  BOOST_TEST(names == std::vector<std::string>{"mul"}, boost::test_tools::per_element());
  BOOST_TEST(
      error_of([&] { w* w; }) ==
      "mul: no operand is a Var, so the tape is unknown; pass tape[parameter] in place of a Parameter");
  BOOST_TEST(error_of([&] { x* Parameter(); }) == "mul: an empty Var; it was never recorded on a tape");
}

BOOST_AUTO_TEST_CASE(layers_as_functions_of_parameters) {
  ParameterStore params(1, DType::f64);
  const auto filled = [&](const char* name, const Shape& shape, double value) {
    return params.root().parameter(name, shape, [=](Tensor& v, RandomKey) { v.fill(value); });
  };
  const Parameter gain = filled("gain", {3}, 2), shift = filled("shift", {3}, 1),
                  weight = filled("weight", {2, 3}, 1), bias = filled("bias", {2}, 10);
  const Var g = tape[gain], s = tape[shift];
  BOOST_TEST(identical(layer_norm(x, gain, shift).value(), layer_norm(x, g, s).value()));
  BOOST_TEST(identical(layer_norm(x, gain).value(), layer_norm(x, g).value()));
  BOOST_TEST(identical(layer_norm(x, {}, shift, 0.1).value(), layer_norm(x, Var(), s, 0.1).value()));
  BOOST_TEST(identical(rms_norm(x, gain).value(), rms_norm(x, g).value()));
  check_values(tape.backward(sum(layer_norm(x, gain, shift)))[shift], {3}, {2, 2, 2});
  check_values(linear(x, weight, bias).value(), {2, 2}, {12, 12, 5, 5});
  BOOST_TEST(error_of([&] { layer_norm(x, bias); }) ==
             "layer_norm: weight of shape [2] does not fit the last axis of x [2, 3]; it must be [3]");
}

BOOST_AUTO_TEST_CASE(a_product_with_a_parameter) {
  ParameterStore params(1, DType::f64);
  const Parameter w = params.root().parameter("w", {3, 2}, [](Tensor& v, RandomKey) { v.fill(2); });
  const Var product = matmul(x, w);  // [2, 3] [3, 2]
  check_values(product.value(), {2, 2}, {4, 4, -10, -10});
  check_values(matmul(w, x).value()[0], {3}, {-6, 6, -6});
  const Gradients g = tape.backward(sum(product));
  check_values(g[w], {3, 2}, {-3, -3, 3, 3, -3, -3});
  BOOST_TEST(
      error_of([&] { matmul(w, w); }) ==
      "matmul: no operand is a Var, so the tape is unknown; pass tape[parameter] in place of a Parameter");
}

BOOST_AUTO_TEST_CASE(a_parameter_tells_how_it_is_changed) {
  ParameterStore params;
  const Parameter w = params.root().parameter("a.weight", {2}, [](Tensor& v, RandomKey) { v.fill(3); });
  const std::string text =
      "parameter 'a.weight': value() is read-only; use update([](Tensor& t) { t.fill(0); }), or write to a "
      "clone() of this [2] tensor";
  const Tensor ones = Tensor::of({1, 1});
  BOOST_TEST(error_of([&] { w.value().fill(0); }) == text);
  BOOST_TEST(error_of([&] { w.value() += ones; }) == text);
  BOOST_TEST(error_of([&] { w.value() -= 1; }) == text);
  BOOST_TEST(error_of([&] { w.value() *= 2; }) == text);
  BOOST_TEST(error_of([&] { w.value() /= ones; }) == text);
  BOOST_TEST(error_of([&] { w.value().copy_from(ones); }) == text);
  Tensor copy = w.value();
  BOOST_TEST(error_of([&] { copy.data<float>()[0] = 1; }) == text);
  BOOST_TEST(error_of([&] { copy.matrix<float>()(0, 0) = 1; }) == text);
  BOOST_TEST(error_of([&] { copy.array<float>() += 1; }) == text);
  BOOST_TEST(error_of([&] {
               for (Parameter p : params) p.value().fill(0);
             }) == text);
  check_values(w.value(), {2}, {3, 3});
  BOOST_TEST(w.version() == 0u);
  params.at("a.weight").update([](Tensor& values) { values.fill(0); });
  check_values(w.value(), {2}, {0, 0});
  params.at("a.weight").update([&](Tensor& values) { values += ones; });
  check_values(w.value(), {2}, {1, 1});
  BOOST_TEST(w.version() == 2u);
}

BOOST_AUTO_TEST_CASE(a_var_prints_its_value) {
  BOOST_TEST(fmt::format("{}", tape.constant(t)) == "[3] f64 [10, 20, 30]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
