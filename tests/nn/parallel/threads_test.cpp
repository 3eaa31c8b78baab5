#include <tapegrad/nn/parallel/threads.h>

#include <tests/support/errors.h>
#include <atomic>
#include <boost/test/unit_test.hpp>
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

BOOST_AUTO_TEST_CASE(a_team_has_between_1_and_1024_workers) {
  BOOST_TEST(test::error_of([] { ThreadTeam(0); }) == "threads: 0 is not between 1 and 1024");
  BOOST_TEST(test::error_of([] { ThreadTeam(1025); }) == "threads: 1025 is not between 1 and 1024");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
