// Recording, walking back and forgetting are loops: a graph of any depth needs no stack.
#include <sys/resource.h>
#include <tapegrad/autograd/ops/arithmetic.h>

#include <tests/support/malloc_count.h>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace tapegrad {
namespace {

constexpr rlim_t stack_bytes = rlim_t{256} << 10;

}  // namespace

BOOST_AUTO_TEST_SUITE(long_chain)

// Run by the case below, in a process of its own.
BOOST_AUTO_TEST_CASE(child, *boost::unit_test::disabled()) {
  rlimit limit{};
  BOOST_TEST(getrlimit(RLIMIT_STACK, &limit) == 0);
  BOOST_TEST(limit.rlim_cur == stack_bytes);
  const std::size_t length = test::counts_allocations() ? 10'000'000 : 1'000'000;
  std::optional<Tape> tape;
  tape.emplace();
  const Var x = tape->variable(1), summand = tape->constant(1e-7);
  Var y = x;
  for (std::size_t i = 0; i < length; ++i)
    y = i % 2 == 0 ? y + summand : y * 1.0;  // with a raw backward, and without
  BOOST_TEST(tape->size() == length + 2);
  const double recorded = static_cast<double>(tape->bytes()) / static_cast<double>(length);
  const Gradients g = tape->backward(y);
  BOOST_TEST(g[x].item() == 1);
  const double walked = static_cast<double>(tape->bytes()) / static_cast<double>(length);
  fmt::print("a node takes {:.0f} bytes recorded, {:.0f} walked back\n", recorded, walked);
  BOOST_TEST(walked < 400);
  tape.reset();
}

BOOST_AUTO_TEST_CASE(ten_million_nodes_need_a_stack_of_256_kib) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      fmt::format("ulimit -s {} && exec '{}' --run_test=long_chain/child", stack_bytes >> 10, self);
  BOOST_TEST(std::system(command.c_str()) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
