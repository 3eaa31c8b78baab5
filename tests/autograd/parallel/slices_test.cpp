#include <tapegrad/autograd/parallel/slices.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <vector>

namespace tapegrad {
namespace {

/// Workers that run one after the other.
/// A team of one thread that counts what it is given.
struct Pretended {
  explicit Pretended(std::size_t workers) : count(workers) {}
  std::size_t size() const { return count; }

  std::size_t count, runs = 0, tasks = 0;

  template <class Task>
  void run(std::size_t number, Task&& task) {
    ++runs;
    tasks += number;
    for (std::size_t i = 0; i < number; ++i) task(i % count, i);
  }
};

/// The number of visits of each element of each array.
std::vector<std::vector<int>> visits(const std::vector<std::int64_t>& sizes, Pretended* team) {
  Slices slices;
  std::vector<std::vector<int>> seen;
  for (const std::int64_t size : sizes) {
    slices.add(size);
    seen.emplace_back(static_cast<std::size_t>(size));
  }
  slices.run(team, [&](std::size_t array, std::int64_t begin, std::int64_t end) {
    for (; begin < end; ++begin) ++seen[array][static_cast<std::size_t>(begin)];
  });
  return seen;
}

bool once(const std::vector<std::vector<int>>& seen) {
  for (const auto& array : seen)
    for (const int count : array)
      if (count != 1) return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(slices)

BOOST_AUTO_TEST_CASE(every_element_is_visited_once) {
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{}, {0}, {1}, {5, 0, 17}, {100000}, {1, 16, 15, 50001, 3, 8192, 0, 7}})
    for (const std::size_t workers : {1u, 2u, 3u, 7u, 64u}) {
      Pretended team(workers);
      BOOST_TEST(once(visits(sizes, &team)));
      BOOST_TEST(once(visits(sizes, nullptr)));
    }
}

BOOST_AUTO_TEST_CASE(slices_are_equal_and_no_two_share_a_cache_line) {
  Slices slices;
  for (const std::int64_t size : {3, 40000, 5, 20000}) slices.add(size);
  Pretended team(4);
  std::vector<std::int64_t> sizes(4);
  std::size_t slice = 0;
  std::int64_t last_end = -1;
  std::size_t last_array = 9;
  slices.run(&team, [&](std::size_t array, std::int64_t begin, std::int64_t end) {
    if (array == last_array && begin == last_end) {
      ++slice;
      BOOST_TEST(begin % 16 == 0);
    }
    sizes[slice] += end - begin;
    last_array = array;
    last_end = end;
  });
  BOOST_TEST(team.runs == 1u);
  BOOST_TEST(team.tasks == 4u);
  for (const std::int64_t size : sizes) BOOST_TEST(std::abs(size - 15002) <= 32);
}

BOOST_AUTO_TEST_CASE(few_elements_need_no_meeting) {
  Pretended team(4);
  visits({4000, 4000}, &team);
  BOOST_TEST(team.runs == 0u);
  visits({4000, 4200}, &team);
  BOOST_TEST(team.tasks == 2u);
}

BOOST_AUTO_TEST_CASE(cleared_slices_hold_nothing) {
  Slices slices;
  slices.add(10);
  slices.clear();
  slices.add(3);
  std::int64_t visited = 0;
  slices.run(static_cast<Pretended*>(nullptr), [&](std::size_t array, std::int64_t begin, std::int64_t end) {
    BOOST_TEST(array == 0u);
    visited += end - begin;
  });
  BOOST_TEST(visited == 3);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
