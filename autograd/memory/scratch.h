/// Scratch memory for the length of a call, and a vector that uses it.
#pragma once
#include <cstddef>
#include <vector>

namespace tapegrad {

/// Small blocks for the length of a call. Each thread keeps returned blocks for its next call, so a steady
/// state allocates nothing.
void* take_scratch(std::size_t bytes);
void give_scratch(void* block, std::size_t bytes);

template <class T>
struct ScratchAllocator {
  using value_type = T;

  ScratchAllocator() = default;
  template <class U>
  ScratchAllocator(const ScratchAllocator<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(take_scratch(count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) { give_scratch(block, count * sizeof(T)); }
  friend bool operator==(const ScratchAllocator&, const ScratchAllocator&) { return true; }
};

/// A std::vector for the length of a call.
template <class T>
using ScratchVector = std::vector<T, ScratchAllocator<T>>;

}  // namespace tapegrad
