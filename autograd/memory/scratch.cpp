#include "scratch.h"

#include <array>
#include <bit>
#include <new>

namespace tapegrad {
namespace {

struct Block {
  Block* next;
};

thread_local bool pool_gone = false;  // trivially destroyed: readable for as long as the thread runs

/// Free blocks by their size, rounded up to a power of two.
struct Pool {
  std::array<Block*, 64> free{};
  ~Pool() {
    pool_gone = true;
    for (Block* block : free)
      while (block != nullptr) {
        Block* next = block->next;
        ::operator delete(block);
        block = next;
      }
  }
};

thread_local Pool pool;

std::size_t size_class(std::size_t bytes) {
  return static_cast<std::size_t>(std::bit_width((bytes | sizeof(Block)) - 1));
}

}  // namespace

void* take_scratch(std::size_t bytes) {
  const std::size_t at = size_class(bytes);
  if (pool_gone || pool.free[at] == nullptr) return ::operator new (std::size_t{1} << at);
  Block* block = pool.free[at];
  pool.free[at] = block->next;
  return block;
}

void give_scratch(void* block, std::size_t bytes) {
  if (pool_gone) return ::operator delete(block);
  Block*& head = pool.free[size_class(bytes)];
  head = new (block) Block{head};
}

}  // namespace tapegrad
