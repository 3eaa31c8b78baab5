#include <tapegrad/autograd/backward/derivatives.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>

#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <cmath>

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Largest |a - b| over max(1, largest |b|); shapes must agree.
double difference(const Tensor& a, const Tensor& b) {
  BOOST_TEST((a.shape() == b.shape()), fmt::format("shapes {} and {}", a.shape(), b.shape()));
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double most = 0, largest = 1;
  for (std::size_t i = 0; i < y.size(); ++i) {
    most = std::max(most, std::abs(x.at(i) - y[i]));
    largest = std::max(largest, std::abs(y[i]));
  }
  return most / largest;
}

/// Row i of `rows` times v.
Tensor product(const Tensor& rows, const Tensor& v, const Shape& shape) {
  Tensor result(shape, DType::f64);
  for (Index i = 0; i < result.size(); ++i)
    for (Index j = 0; j < v.size(); ++j) result.data<double>()[i] += rows.at({i, j}) * v.data<double>()[j];
  return result;
}

/// A small network whose parts a kernel computes; not linear in any of its operands.
struct Network {
  explicit Network(bool fused) : tape({.dtype = DType::f64, .fused = fused}) {
    x = tape.variable(sample_values({3, 4}, -1, 1, 1));
    w = tape.variable(sample_values({5, 4}, -1, 1, 2));
    b = tape.variable(sample_values({5}, -1, 1, 3));
    hidden = layer_norm(gelu(linear(x, w, b)), tape.variable(sample_values({5}, 0.5, 1.5, 4)), Var());
    y = log_softmax(matmul(hidden, transpose(hidden)));  // [3, 3]
    loss = cross_entropy(hidden, Tensor::ids({1, 4, 0})) + mean(square(y));
  }
  Tape tape;
  Var x, w, b, hidden, y, loss;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(derivatives)

BOOST_AUTO_TEST_CASE(polynomials_by_hand) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2, -3}), y = x * x * x, loss = sum(y);
  const Tensor v = Tensor::of({1, 10, -1}, DType::f64);
  check_values(hvp(loss, x, v), {3}, {6, 120, 18});                        // 6 x v
  check_values(jvp(y, x, v), {3}, {3, 120, -27});                          // 3 x^2 v
  check_values(jacobian(y, x), {3, 3}, {3, 0, 0, 0, 12, 0, 0, 0, 27});     // diag(3 x^2)
  check_values(hessian(loss, x), {3, 3}, {6, 0, 0, 0, 12, 0, 0, 0, -18});  // diag(6 x)
  check_values(jacobian(loss, x), {1, 3}, {3, 12, 27});                    // the gradient
  check_values(jvp(loss, x, v), {}, {3 + 120 - 27});                       // its product with v
  check_values(jvp(x, x, v), {3}, {1, 10, -1});
  check_values(jacobian(x, x), {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
}

BOOST_AUTO_TEST_CASE(axes_are_flattened_in_row_major_order) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({{1, 2, 3}, {4, 5, 6}}), y = sum(x * x, 0);  // [3]
  check_values(jacobian(y, x), {3, 6}, {2, 0, 0, 8, 0, 0, 0, 4, 0, 0, 10, 0, 0, 0, 6, 0, 0, 12});
  check_values(jvp(y, x, counting({2, 3})), {3}, {2 + 32, 8 + 50, 18 + 72});
  check_values(hvp(sum(y), x, counting({2, 3})), {2, 3}, {2, 4, 6, 8, 10, 12});
}

BOOST_AUTO_TEST_CASE(products_agree_with_the_whole_matrices) {
  for (const bool fused : {true, false}) {
    Network net(fused);
    for (const Var& at : {net.x, net.w, net.b, net.hidden}) {
      const Tensor v = sample_values(at.shape(), -1, 1, 9);
      const Tensor h = hessian(net.loss, at), j = jacobian(net.y, at);
      BOOST_TEST(difference(hvp(net.loss, at, v), product(h, v, at.shape())) < 1e-12);
      BOOST_TEST(difference(jvp(net.y, at, v), product(j, v, net.y.shape())) < 1e-12);
      double asymmetry = 0;
      for (Index i = 0; i < at.size(); ++i)
        for (Index k = 0; k < i; ++k) asymmetry = std::max(asymmetry, std::abs(h.at({i, k}) - h.at({k, i})));
      BOOST_TEST(asymmetry < 1e-12);
    }
  }
}

BOOST_AUTO_TEST_CASE(products_agree_with_differences) {
  const Tensor v = sample_values({3, 4}, -1, 1, 9), x = sample_values({3, 4}, -1, 1, 1);
  const auto moved = [&](double step, bool gradient) {
    Network net(true);
    Tensor there = x.clone();
    for (Index i = 0; i < v.size(); ++i) there.data<double>()[i] += step * v.data<double>()[i];
    const Var at = net.tape.variable(there), w = net.w, b = net.b;
    const Var y = log_softmax(gelu(linear(at, w, b)));
    return gradient ? net.tape.backward(mean(y * y))[at].clone() : y.value().clone();
  };
  Network net(true);
  const Var y = log_softmax(gelu(linear(net.x, net.w, net.b)));
  const double h = 1e-3;
  for (const bool gradient : {false, true}) {
    Tensor slope(gradient ? Shape{3, 4} : Shape{3, 5}, DType::f64);
    const Tensor far = moved(2 * h, gradient), near = moved(h, gradient), back = moved(-h, gradient),
                 far_back = moved(-2 * h, gradient);
    for (Index i = 0; i < slope.size(); ++i)
      slope.data<double>()[i] = (8 * (near.data<double>()[i] - back.data<double>()[i]) -
                                 (far.data<double>()[i] - far_back.data<double>()[i])) /
                                (12 * h);
    const Tensor found = gradient ? hvp(mean(y * y), net.x, v) : jvp(y, net.x, v);
    BOOST_TEST(difference(found, slope) < 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(what_does_not_depend_on_x_has_the_derivative_0) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), other = tape.variable({3, 4});
  const Var before = sum(other), later = tape.variable({5, 6});
  const Tensor v = Tensor::of({1, 1}, DType::f64);
  for (const Var& at : {x, later}) {
    check_values(hvp(before, at, v), {2}, {0, 0});
    check_values(jvp(other, at, v), {2}, {0, 0});
    check_values(jacobian(other, at), {2, 2}, {0, 0, 0, 0});
    check_values(hessian(before, at), {2, 2}, {0, 0, 0, 0});
  }
  const Var linear = sum(3 * x), constant = tape.constant({7, 8});
  check_values(hvp(linear, x, v), {2}, {0, 0});  // its gradient is a constant
  check_values(hessian(linear, x), {2, 2}, {0, 0, 0, 0});
  check_values(jvp(constant, x, v), {2}, {0, 0});
  check_values(jacobian(constant, x), {2, 2}, {0, 0, 0, 0});
  check_values(hvp(sum(x * x), x, Tensor({2}, DType::f64)), {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(nothing_to_move_or_to_look_at) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable(Tensor({0}, DType::f64)), y = exp(x), loss = sum(y);
  check_values(hvp(loss, x, Tensor({0}, DType::f64)), {0}, {});
  check_values(jvp(y, x, Tensor({0}, DType::f64)), {0}, {});
  check_values(jacobian(loss, x), {1, 0}, {});
  check_values(jacobian(y, x), {0, 0}, {});
  check_values(hessian(loss, x), {0, 0}, {});
}

BOOST_AUTO_TEST_CASE(a_detached_part_counts_as_a_constant) {
  Tape tape({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), loss = sum(x * x * detach(x));  // 2 c x' with c = x
  const Tensor v = Tensor::of({1, 1}, DType::f64);
  check_values(hvp(loss, x, v), {2}, {2, 4});
  check_values(hessian(loss, x), {2, 2}, {2, 0, 0, 4});
  check_values(jvp(x * detach(x), x, v), {2}, {1, 2});
  check_values(hvp(sum(detach(x * x)) + sum(x), x, v), {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  Tape tape({.dtype = DType::f64}), other({.dtype = DType::f64});
  const Var x = tape.variable({1, 2}), y = x * x, loss = sum(y), fixed = tape.constant({1, 2});
  const Var far = other.variable({1, 2, 3});
  const Tensor v = Tensor::of({1, 1}, DType::f64);
  BOOST_TEST(error_of([&] { hvp(y, x, v); }) == "hvp: the loss must have one element, got shape [2]");
  BOOST_TEST(error_of([&] { hessian(y, x); }) == "hessian: the loss must have one element, got shape [2]");

  BOOST_TEST(error_of([&] { hvp(loss, far, v); }) ==
             "hvp: x of shape [3] was recorded on another tape than the loss of shape []");
  BOOST_TEST(error_of([&] { jvp(y, far, v); }) ==
             "jvp: x of shape [3] was recorded on another tape than y of shape [2]");
  BOOST_TEST(error_of([&] { jacobian(y, far); }) ==
             "jacobian: x of shape [3] was recorded on another tape than y of shape [2]");
  BOOST_TEST(error_of([&] { hessian(loss, far); }) ==
             "hessian: x of shape [3] was recorded on another tape than the loss of shape []");

  BOOST_TEST(error_of([&] {
               hvp(loss, x, Tensor::of({1, 2, 3}, DType::f64));
             }) == "hvp: v is f64 [3]; it must be f64 [2], as x is");
  BOOST_TEST(error_of([&] {
               jvp(y, x, Tensor::of({1, 2}));
             }) == "jvp: v is f32 [2]; it must be f64 [2], as x is");
  BOOST_TEST(error_of([&] { hvp(loss, x, {}); }) == "hvp: v is empty; it must be f64 [2], as x is");

  const std::string hint =
      ": x of shape [2] needs no gradient (a constant, or frozen); differentiate with respect to a variable, "
      "a "
      "trainable parameter or what is computed from one";
  BOOST_TEST(error_of([&] { hvp(loss, fixed, v); }) == "hvp" + hint);
  BOOST_TEST(error_of([&] { jvp(y, fixed, v); }) == "jvp" + hint);
  BOOST_TEST(error_of([&] { jacobian(y, fixed); }) == "jacobian" + hint);
  BOOST_TEST(error_of([&] { hessian(loss, detach(x)); }) == "hessian" + hint);

  BOOST_TEST(error_of([&] { hvp(Var(), x, v); }) == "hvp: an empty Var; it was never recorded on a tape");
  BOOST_TEST(error_of([&] { jacobian(y, Var()); }) ==
             "jacobian: an empty Var; it was never recorded on a tape");
  Tape silent({.dtype = DType::f64, .record = false});
  const Var z = silent.variable({1, 2});
  BOOST_TEST(error_of([&] { jacobian(z * z, z); }) ==
             "jacobian: this tape does not record (.record = false)");

  check_values(hvp(loss, x, v), {2}, {2, 2});  // the tape is as it was
  tape.backward(loss, {.consume = true});
  BOOST_TEST(error_of([&] { hvp(loss, x, v); }) ==
             "hvp: this tape was consumed by backward(loss, {.consume = true}); only the loss and the "
             "gradients are left. Call reset() and record again, or leave out .consume");
}

BOOST_AUTO_TEST_SUITE_END()
