#include "support.h"

#include <cstdint>
#include <cstdlib>

#include <tapegrad/autograd/kernels/workspace.h>

namespace tapegrad::test {
namespace {

BOOST_AUTO_TEST_SUITE(kernel_dispatch)

BOOST_AUTO_TEST_CASE(every_variant_fills_its_whole_table) {
  each_variant<float>([](const Table<float>& table) {
#define TAPEGRAD_CHECK_MEMBER(name) BOOST_CHECK_MESSAGE(table.name != nullptr, #name " is missing");
    TAPEGRAD_KERNELS(TAPEGRAD_CHECK_MEMBER)
  });
  each_variant<double>([](const Table<double>& table) { TAPEGRAD_KERNELS(TAPEGRAD_CHECK_MEMBER) });
#undef TAPEGRAD_CHECK_MEMBER
}

BOOST_AUTO_TEST_CASE(the_environment_may_ask_for_less) {
  const char* wish = std::getenv("TAPEGRAD_ISA");
  if (wish && kernels::variant<float>(Isa::avx2) && std::string(wish) == "generic")
    BOOST_TEST(kernels::isa_name(kernels::active_isa()) == "generic");
  BOOST_TEST(kernels::variant<float>(kernels::active_isa()) != nullptr);
  BOOST_TEST(kernels::variant<double>(Isa::generic) != nullptr);
}

BOOST_AUTO_TEST_CASE(scratch_is_aligned_kept_and_separate) {
  using kernels::Scratch;
  using kernels::workspace;
  void* first = workspace(Scratch::scores, 100000);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(first) % 64 == 0u);
  BOOST_TEST(workspace(Scratch::scores, 10) == first);
  BOOST_TEST(workspace(Scratch::scores, 100000) == first);
  BOOST_TEST(workspace(Scratch::keys, 100000) != first);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace tapegrad::test
