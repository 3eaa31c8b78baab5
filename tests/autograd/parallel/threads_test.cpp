#include <tapegrad/autograd/parallel/threads.h>

#include <tapegrad/autograd/base/random.h>

#include <tests/support/errors.h>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>

namespace tapegrad {

BOOST_AUTO_TEST_SUITE(thread_team)

BOOST_AUTO_TEST_CASE(every_task_runs_once_on_its_worker) {
  for (const std::size_t workers : {1u, 2u, 5u}) {
    ThreadTeam team(workers);
    BOOST_TEST(team.size() == workers);
    std::vector<std::thread::id> ids(workers);
    for (const std::size_t count : {0u, 1u, 3u, 64u, 2u}) {
      std::vector<std::atomic<int>> runs(count);
      std::atomic<int> misplaced = 0;
      team.run(count, [&](std::size_t worker, std::size_t number) {
        ++runs[number];
        misplaced += worker != number % workers;
        if (ids[worker] == std::thread::id()) ids[worker] = std::this_thread::get_id();
        misplaced += ids[worker] != std::this_thread::get_id();
      });
      for (const auto& r : runs) BOOST_TEST(r == 1);
      BOOST_TEST(misplaced == 0);
    }
    BOOST_TEST((ids[0] == std::this_thread::get_id()));
  }
}

BOOST_AUTO_TEST_CASE(the_first_exception_by_task_number_surfaces_once) {
  for (const std::size_t workers : {1u, 2u, 4u}) {
    ThreadTeam team(workers);
    for (int round = 0; round < 20; ++round) {
      std::string what;
      int caught = 0;
      try {
        team.run(16, [](std::size_t, std::size_t number) {
          if (number == 5 || number == 6 || number == 11) throw std::runtime_error(std::to_string(number));
        });
      } catch (const std::runtime_error& error) {
        what = error.what();
        ++caught;
      }
      BOOST_TEST(what == "5");
      BOOST_TEST(caught == 1);
      std::atomic<int> runs = 0;
      team.run(7, [&](std::size_t, std::size_t) { ++runs; });  // nothing is left of it
      BOOST_TEST(runs == 7);
    }
  }
}

BOOST_AUTO_TEST_CASE(many_short_runs_lose_no_task) {
  // More workers than processors, pauses below and above the time that waiting threads spin, and runs that
  // leave most workers asleep.
  for (const std::size_t workers : {2u, 3u, 9u}) {
    ThreadTeam team(workers);
    std::vector<std::uint64_t> sums(64);  // plain memory: a run's end makes it the caller's
    std::uint64_t expected = 0;
    for (std::uint64_t round = 1; round <= 1500; ++round) {
      const std::size_t count = random_bits(random_key(1, 0, 0, 0), round) % 12;
      team.run(count, [&](std::size_t, std::size_t number) { sums[number] += round; });
      expected += count * round;
      if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(round % 300));
    }
    BOOST_TEST(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == expected);
  }
}

BOOST_AUTO_TEST_CASE(a_team_that_never_ran_or_sleeps_can_be_dropped) {
  for (int i = 0; i < 50; ++i) {
    ThreadTeam idle(3), used(3);
    used.run(3, [](std::size_t, std::size_t) {});
    if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

BOOST_AUTO_TEST_CASE(a_run_waits_for_slow_workers) {
  ThreadTeam team(4);
  std::vector<int> done(4);
  team.run(4, [&](std::size_t, std::size_t number) {
    std::this_thread::sleep_for(std::chrono::milliseconds(number));
    done[number] = 1;
  });
  BOOST_TEST(done == std::vector<int>(4, 1), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_team_has_between_1_and_1024_workers) {
  BOOST_TEST(test::error_of([] { ThreadTeam(0); }) == "threads: 0 is not between 1 and 1024");
  BOOST_TEST(test::error_of([] { ThreadTeam(1025); }) == "threads: 1025 is not between 1 and 1024");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
