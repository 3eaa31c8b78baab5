// Scratch memory that gives exactly the guarantees of autograd/kernels/workspace.h: not a byte too many,
// and contents that spoil every result that depends on them. A write outside of it ends the program.
#include <tapegrad/autograd/kernels/workspace.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace tapegrad::kernels {
namespace {

constexpr std::size_t guard = 32768;  // bytes before and after

struct Block {
  std::vector<unsigned char> memory;
  unsigned char* data = nullptr;
  std::size_t bytes = 0;

  void check() const {
    if (data == nullptr) return;
    static const std::vector<unsigned char> untouched(guard, 0xa5);
    if (std::memcmp(data - guard, untouched.data(), guard) != 0) std::abort();
    if (std::memcmp(data + bytes, untouched.data(), guard) != 0) std::abort();
  }
};

}  // namespace

void* workspace(Scratch which, std::size_t bytes) {
  static thread_local Block blocks[static_cast<int>(Scratch::count)];
  Block& block = blocks[static_cast<int>(which)];
  block.check();
  if (bytes != block.bytes || block.data == nullptr) {
    block.memory.assign(bytes + 2 * guard + 64, 0xa5);
    const auto begin = reinterpret_cast<std::size_t>(block.memory.data()) + guard;
    block.data = block.memory.data() + guard + (64 - begin % 64) % 64;
    block.bytes = bytes;
  }
  std::memset(block.data, 0xff, bytes);  // NaNs
  return block.data;
}

}  // namespace tapegrad::kernels
