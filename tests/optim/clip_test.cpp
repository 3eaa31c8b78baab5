#include <tapegrad/optim/clip.h>

#include <tests/optim/model.h>
#include <tests/support/errors.h>
#include <tests/support/expect.h>
#include <cmath>
#include <limits>

namespace tapegrad {
using namespace optim;
namespace {

using test::check_values;
using test::error_of;
using test::Model;

constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

BOOST_AUTO_TEST_SUITE(clip)

BOOST_AUTO_TEST_CASE(by_the_common_norm) {
  const Model model;
  Tape tape({.dtype = DType::f64});
  const Gradients g = model.ones(tape);
  BOOST_TEST(grad_norm(g) == std::sqrt(6.0), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(grad_norm(g, 1) == 6);
  BOOST_TEST(grad_norm(g, inf) == 1);
  BOOST_TEST(clip_grad_norm(g, inf) == grad_norm(g));
  check_values(g[model.encoder], {2}, {1, 1});
  BOOST_TEST(clip_grad_norm(g, 0.5) == std::sqrt(6.0), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(grad_norm(g) == 0.5, boost::test_tools::tolerance(1e-5));
  BOOST_TEST(clip_grad_norm(g, 0.25, 1) == 0.5 * std::sqrt(6.0), boost::test_tools::tolerance(1e-5));
  BOOST_TEST(grad_norm(g, 1) == 0.25, boost::test_tools::tolerance(1e-5));
  clip_grad_norm(g, 0.01, inf);
  BOOST_TEST(g[model.bias].at({1}) == 0.01, boost::test_tools::tolerance(1e-3));
}

BOOST_AUTO_TEST_CASE(by_value) {
  const Model model;
  Tape tape({.dtype = DType::f64});
  const Gradients g =
      tape.backward(sum(tape[model.encoder] * tape.constant({-3, 0.5})) + sum(tape[model.bias]));
  clip_grad_value(g, 0.75);
  check_values(g[model.encoder], {2}, {-0.75, 0.5});
  check_values(g[model.bias], {2}, {0.75, 0.75});
}

BOOST_AUTO_TEST_CASE(nan_is_not_hidden) {
  const Model model;
  Tape tape({.dtype = DType::f64});
  const Gradients g = tape.backward(sum(tape[model.encoder] * tape.constant({nan, 2})));
  for (const double norm_type : {1.0, 2.0, inf}) BOOST_TEST(std::isnan(grad_norm(g, norm_type)));
  clip_grad_value(g, 1);
  BOOST_TEST(std::isnan(g[model.encoder].at({0})));
  BOOST_TEST(g[model.encoder].at({1}) == 1);
}

BOOST_AUTO_TEST_CASE(mistakes) {
  const Model model;
  Tape tape({.dtype = DType::f64});
  const Gradients g = model.ones(tape);
  for (const double most : {0.0, -1.0, nan}) {
    BOOST_TEST(error_of([&] { clip_grad_norm(g, most); }) ==
               fmt::format("clip_grad_norm: max_norm must be positive, got {}", most));
    BOOST_TEST(error_of([&] { clip_grad_value(g, most); }) ==
               fmt::format("clip_grad_value: the largest value must be positive, got {}", most));
  }
  for (const double norm_type : {0.0, 3.0, -inf, nan})
    BOOST_TEST(error_of([&] { clip_grad_norm(g, 1, norm_type); }) ==
               fmt::format("grad_norm: norm_type {} is none of 1, 2 and infinity", norm_type));
  check_values(g[model.encoder], {2}, {1, 1});
  tape.reset();
  BOOST_TEST(error_of([&] { clip_grad_value(g, 1); }) ==
             "clip_grad_value: stale Gradients, their tape was reset (or a later step began) after the "
             "backward pass");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
