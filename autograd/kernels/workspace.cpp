#include "workspace.h"

#include <new>

namespace tapegrad::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct Block {
  void* data = nullptr;
  std::size_t capacity = 0;
};

struct Blocks {
  Block block[static_cast<int>(Scratch::count)];

  ~Blocks() {
    for (Block& b : block) ::operator delete(b.data, kAlignment);
  }
};

thread_local Blocks blocks;

}  // namespace

void* workspace(Scratch which, std::size_t bytes) {
  Block& block = blocks.block[static_cast<int>(which)];
  if (bytes > block.capacity) {
    const std::size_t capacity = (bytes + bytes / 2 + 4095) / 4096 * 4096;
    ::operator delete(block.data, kAlignment);
    block = {};
    block.data = ::operator new(capacity, kAlignment);
    block.capacity = capacity;
  }
  return block.data;
}

std::size_t workspace_bytes() {
  std::size_t sum = 0;
  for (const Block& block : blocks.block) sum += block.capacity;
  return sum;
}

}  // namespace tapegrad::kernels
