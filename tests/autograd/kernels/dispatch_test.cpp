#include "support.h"

#include <cstdint>
#include <cstdlib>

#include <tapegrad/autograd/kernels/gemm/gemm.h>
#include <tapegrad/autograd/kernels/workspace.h>

namespace tapegrad::test {
namespace {

BOOST_AUTO_TEST_SUITE(kernel_dispatch)

// A fused multiply-add keeps the digits that a product rounds away; the generic variant has none.
BOOST_AUTO_TEST_CASE(a_call_runs_the_variant_in_use) {
  const float a[] = {1, 1 + 0x1p-12f}, b[] = {-1, 1 + 0x1p-12f};
  each_variant<float>([&] {
    float c = 0;
    kernels::gemm(false, false, 1, 1, 2, a, 2, b, 1, &c, 1);
    const bool fused = kernels::active_isa() != Isa::generic;
    BOOST_TEST(c == (fused ? 0x1p-11f + 0x1p-24f : 0x1p-11f));
  });
}

BOOST_AUTO_TEST_CASE(the_environment_may_ask_for_less) {
  const char* wish = std::getenv("TAPEGRAD_ISA");
  if (wish && std::string(wish) == "generic")
    BOOST_TEST(kernels::isa_name(kernels::active_isa()) == "generic");
  BOOST_TEST(kernels::available(kernels::active_isa()));
  BOOST_TEST(kernels::available(Isa::generic));
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
