#pragma once
#include <cstdint>

namespace tapegrad::test {

/// True when calls are counted: false under sanitizers, which replace the allocator.
bool counts_allocations();

/// Calls of malloc, calloc, realloc, aligned_alloc, posix_memalign, memalign, valloc and (through them)
/// operator new, by all threads of this program since it started. Linking malloc_count.cpp into a program
/// interposes them.
std::uint64_t allocation_calls();

}  // namespace tapegrad::test
