#include <tapegrad/optim/schedule.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

namespace tapegrad {
using namespace optim;
namespace {

using test::error_of;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Step by step, |a - b| <= 1e-15.
void check_rates(const Schedule& schedule, Index first, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Index step = first + static_cast<Index>(i);
    BOOST_TEST(std::abs(schedule(step) - expected[i]) <= 1e-15,
               fmt::format("step {}: {} instead of {}", step, schedule(step), expected[i]));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedule)

BOOST_AUTO_TEST_CASE(warm_up) {
  check_rates(constant_rate(0.5), 1, {0.5, 0.5});
  check_rates(linear_warmup(1, 4), 0, {0, 0.25, 0.5, 0.75, 1, 1, 1});
  check_rates(linear_warmup(1, 0), 0, {1, 1});
  check_rates(linear_warmup(1, 1), 1, {1, 1});
}

BOOST_AUTO_TEST_CASE(linear) {
  check_rates(linear_decay(1, 2, 6), 1, {0.5, 1, 0.75, 0.5, 0.25, 0, 0, 0});
  check_rates(linear_decay(1, 0, 4, 0.5), 1, {0.875, 0.75, 0.625, 0.5, 0.5});
  check_rates(linear_decay(1, 3, 3), 2, {2.0 / 3, 1, 0});  // nothing but warm-up
  check_rates(linear_decay(1, 0, 0, 0.5), 1, {0.5});
}

BOOST_AUTO_TEST_CASE(cosine) {
  check_rates(cosine_decay(1, 2, 6), 1,
              {0.5, 1, (1 + std::sqrt(0.5)) / 2, 0.5, (1 - std::sqrt(0.5)) / 2, 0, 0});
  check_rates(cosine_decay(1, 0, 4, 0.5), 1,
              {1, 0.75 + 0.25 * std::sqrt(0.5), 0.75, 0.75 - 0.25 * std::sqrt(0.5), 0.5, 0.5});
  check_rates(cosine_decay(1, 3, 3), 3, {1, 0});
}

BOOST_AUTO_TEST_CASE(inverse_square_roots) {
  check_rates(inverse_square_root(1, 4), 1, {0.25, 0.5, 0.75, 1, std::sqrt(0.8)});
  check_rates(inverse_square_root(1, 0), 1, {1, std::sqrt(0.5)});
  check_rates(noam(4, 2, 3), 1, {1.5 * std::pow(2, -1.5), 1.5 * std::sqrt(0.5), 1.5 * std::sqrt(1.0 / 3)});
  check_rates(noam(4, 2), 0, {0});
  for (Index step = 1; step < 30; ++step)  // one shape, its peak said in two ways
    BOOST_TEST(std::abs(noam(16, 9)(step) - inverse_square_root(1.0 / 12, 9)(step)) < 1e-15);
}

BOOST_AUTO_TEST_CASE(steps) {
  check_rates(step_decay(1, 2, 0.5), 1, {1, 1, 0.5, 0.5, 0.25});
  check_rates(step_decay(1, 1), 1, {1, 0.1});
}

BOOST_AUTO_TEST_CASE(steps_at_milestones_and_powers) {
  check_rates(multistep_decay(1, {2, 3, 3}, 0.5), 1, {1, 1, 0.5, 0.125, 0.125});
  check_rates(multistep_decay(1, {}), 1, {1, 1});
  check_rates(exponential_decay(1, 0.5), 1, {1, 0.5, 0.25});
  check_rates(polynomial_decay(1, 4), 1, {1, 0.75, 0.5, 0.25, 0, 0});
  check_rates(polynomial_decay(1, 4, 2), 1, {1, 0.5625, 0.25, 0.0625, 0, 0});
}

BOOST_AUTO_TEST_CASE(cycles) {
  check_rates(cosine_restarts(1, 2), 1, {1, 0.5, 1, 0.5, 1});
  check_rates(cosine_restarts(1, 1, 2, 0.5), 1,
              {1, 1, 0.75, 1, 0.75 + 0.25 * std::sqrt(0.5), 0.75, 0.75 - 0.25 * std::sqrt(0.5), 1});
  check_rates(one_cycle(1, 10, 0.3), 1, {0.04, 0.52, 1});
  check_rates(one_cycle(1, 10, 0.3), 10, {0.04 / 1e4, 0.04 / 1e4});
}

BOOST_AUTO_TEST_CASE(mistakes) {
  BOOST_TEST(error_of([] { constant_rate(-1); }) == "constant_rate: rate -1 is not a finite number >= 0");
  BOOST_TEST(error_of([] { linear_warmup(nan, 1); }) ==
             "linear_warmup: rate nan is not a finite number >= 0");
  BOOST_TEST(error_of([] { linear_warmup(1, -1); }) ==
             "linear_warmup: warm-up of -1 of -1 steps; it must be from 0 to all of them");
  BOOST_TEST(error_of([] { linear_decay(1, 5, 4); }) ==
             "linear_decay: warm-up of 5 of 4 steps; it must be from 0 to all of them");
  BOOST_TEST(error_of([] { cosine_decay(1, 1, 4, -0.5); }) ==
             "cosine_decay: final rate -0.5 is not a finite number >= 0");
  BOOST_TEST(error_of([] { noam(0, 1); }) == "noam: d_model 0 and warm-up 1 must be positive");
  BOOST_TEST(error_of([] { noam(1, 1, nan); }) == "noam: factor nan is not a finite number >= 0");
  BOOST_TEST(error_of([] { step_decay(1, 0); }) == "step_decay: size 0 must be positive");
  BOOST_TEST(error_of([] { step_decay(1, 1, -0.5); }) ==
             "step_decay: gamma -0.5 is not a finite number >= 0");
  BOOST_TEST(error_of([] {
               multistep_decay(1, {3, 2});
             }) == "multistep_decay: milestones [3, 2] must be positive and not decrease");
  BOOST_TEST(error_of([] {
               multistep_decay(1, {0, 2});
             }) == "multistep_decay: milestones [0, 2] must be positive and not decrease");
  BOOST_TEST(error_of([] { multistep_decay(1, {2}, -1); }) ==
             "multistep_decay: gamma -1 is not a finite number >= 0");
  BOOST_TEST(error_of([] { exponential_decay(1, -0.5); }) ==
             "exponential_decay: gamma -0.5 is not a finite number >= 0");
  BOOST_TEST(error_of([] { polynomial_decay(1, 0); }) == "polynomial_decay: total 0 must be positive");
  BOOST_TEST(error_of([] { polynomial_decay(1, 4, -1); }) ==
             "polynomial_decay: power -1 is not a finite number >= 0");
  BOOST_TEST(error_of([] { cosine_restarts(1, 0); }) ==
             "cosine_restarts: period 0 and factor 1 must be positive");
  BOOST_TEST(error_of([] { cosine_restarts(1, 1, 0); }) ==
             "cosine_restarts: period 1 and factor 0 must be positive");
  BOOST_TEST(error_of([] { one_cycle(1, 10, 1); }) ==
             "one_cycle: share 1 of 10 steps; it must be in (0, 1) and cover more than one step");
  BOOST_TEST(error_of([] { one_cycle(1, 10, 0.1); }) ==
             "one_cycle: share 0.1 of 10 steps; it must be in (0, 1) and cover more than one step");
  BOOST_TEST(error_of([] { one_cycle(nan, 10); }) == "one_cycle: rate nan is not a finite number >= 0");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
