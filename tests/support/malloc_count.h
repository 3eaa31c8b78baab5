#pragma once
#include <cstdint>

namespace tapegrad::test {

/// Whether calls are counted: not under sanitizers, which bring allocators of their own.
bool counts_allocations();

/// Calls of malloc, calloc, realloc, aligned_alloc, posix_memalign, memalign, valloc and (through them)
/// operator new, by all threads of this program since it started. Linking malloc_count.cpp into a program
/// interposes them.
std::uint64_t allocation_calls();

}  // namespace tapegrad::test
