#include "kernel.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace tapegrad::kernels {

bool available(Isa isa) {
  if (isa == Isa::generic) return true;
#if TAPEGRAD_X86
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

const char* isa_name(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "generic";
}

Isa active_isa() { return static_cast<Isa>(detail::isa()); }

void use_isa(Isa isa) { detail::isa_in_use.store(static_cast<int>(isa), std::memory_order_relaxed); }

namespace detail {

constinit std::atomic<int> isa_in_use{-1};

int choose_isa() {
  Isa best = available(Isa::avx512) ? Isa::avx512 : available(Isa::avx2) ? Isa::avx2 : Isa::generic;
  if (const char* wish = std::getenv("TAPEGRAD_ISA")) {
    for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512})
      if (std::strcmp(wish, isa_name(isa)) == 0 && isa < best) best = isa;
  }
  use_isa(best);
  return static_cast<int>(best);
}

}  // namespace detail
}  // namespace tapegrad::kernels
