#include <tapegrad/autograd/memory/arena.h>

#include <tests/support/errors.h>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace tapegrad {

BOOST_AUTO_TEST_SUITE(arena)

BOOST_AUTO_TEST_CASE(memory_is_aligned_and_comes_back_after_rewind) {
  Arena arena;
  arena.allocate(3);
  const std::size_t mark = arena.used();
  void* small = arena.allocate(16);
  void* large = arena.allocate(64);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(small) % 16 == 0u);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(large) % 64 == 0u);
  arena.rewind(mark);
  BOOST_TEST(arena.allocate(16) == small);
  BOOST_TEST(arena.peak() > arena.used());
}

BOOST_AUTO_TEST_CASE(nothing_moves_while_it_grows_and_shrink_gives_back) {
  Arena arena;
  auto* first = static_cast<char*>(arena.allocate(1));
  *first = 7;
  void* big = arena.allocate(std::size_t{40} << 20);
  std::memset(big, 1, std::size_t{40} << 20);
  BOOST_TEST(*first == 7);
  arena.rewind(64);
  arena.shrink();
  BOOST_TEST(*first == 7);
  BOOST_TEST(arena.peak() == 64u);
  auto* again = static_cast<unsigned char*>(arena.allocate(std::size_t{40} << 20));
  BOOST_TEST(again[(std::size_t{40} << 20) - 1] == 0);  // the system's own zeros: it was given back
}

BOOST_AUTO_TEST_CASE(more_than_the_reserve_throws_and_leaves_the_arena_usable) {
  Arena arena;
  BOOST_CHECK_THROW(arena.allocate(std::size_t{1} << 50), Error);
  BOOST_CHECK_THROW(arena.allocate(SIZE_MAX), Error);
  BOOST_TEST(arena.used() == 0u);
  std::memset(arena.allocate(100), 1, 100);
}

BOOST_AUTO_TEST_CASE(vectors_in_an_arena_keep_their_elements_in_place) {
  ArenaVector<int> values;
  int* first = &values.push_back(1);
  for (int i = 2; i <= 100000; ++i) values.push_back(i);
  BOOST_TEST(first == &values[0]);
  BOOST_TEST(values.size() == 100000u);
  BOOST_TEST(values[99999] == 100000);
  values.truncate(10);
  BOOST_TEST(values.size() == 10u);
}

BOOST_AUTO_TEST_CASE(forty_arenas_hold_a_megabyte_each) {
  std::vector<std::unique_ptr<Arena>> arenas;
  for (int i = 0; i < 40; ++i) {
    arenas.push_back(std::make_unique<Arena>());
    std::memset(arenas.back()->allocate(std::size_t{1} << 20), 1, std::size_t{1} << 20);
  }
  BOOST_TEST(arenas.size() == 40u);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool sanitized = false;
#endif

BOOST_AUTO_TEST_CASE(a_tight_limit_on_address_space_is_shared) {
  if (sanitized) return;  // sanitizers need the address space themselves
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto under = [&](long kilobytes) {
    return std::system(
        fmt::format(
            "ulimit -v {} && exec '{}' --run_test=arena/forty_arenas_hold_a_megabyte_each >/dev/null 2>&1",
            kilobytes, self)
            .c_str());
  };
  BOOST_TEST(under(2L << 20) == 0);
  BOOST_TEST(under(20000) != 0);  // the limit is felt
}

BOOST_AUTO_TEST_CASE(the_arenas_of_a_thousand_tapes_live_at_once) {
  std::vector<std::unique_ptr<Arena>> arenas;
  for (int i = 0; i < 4100; ++i) {
    arenas.push_back(std::make_unique<Arena>());
    *static_cast<char*>(arenas.back()->allocate(1)) = 1;
  }
  BOOST_TEST(*static_cast<char*>(static_cast<void*>(arenas.front()->base())) == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
