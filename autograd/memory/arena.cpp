#include "arena.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>

#include "../base/error.h"

namespace tapegrad {
namespace {

constexpr std::size_t largest_reserve = std::size_t{64} << 30;  // address space only; pages come when touched
constexpr std::size_t crowded_reserve = std::size_t{8} << 30;
constexpr std::size_t crowd = 256;
constexpr std::size_t commit_step = std::size_t{4} << 20;
constexpr std::size_t smallest_reserve = commit_step;

std::atomic<std::size_t> live{0};

/// Returns the bytes to reserve, such that other arenas fit too: 47 bits of addresses hold thousands, a
/// `ulimit -v` about sixty.
std::size_t wanted_reserve() {
  std::size_t size = live < crowd ? largest_reserve : crowded_reserve;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    size = std::min<std::size_t>(size, limit.rlim_cur / 64 / commit_step * commit_step);
  return std::max(size, smallest_reserve);
}

}  // namespace

Arena::Arena() {
  for (reserved_ = wanted_reserve(); reserved_ >= smallest_reserve;
       reserved_ = reserved_ / 8 / commit_step * commit_step) {
    void* p = mmap(nullptr, reserved_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) continue;
    base_ = static_cast<std::byte*>(p);
    ++live;
    return;
  }
  throw SystemError(fmt::format("arena: cannot reserve {} MiB of address space", smallest_reserve >> 20));
}

Arena::~Arena() {
  munmap(base_, reserved_);
  --live;
}

void Arena::commit(std::size_t start, std::size_t bytes) {
  if (bytes > reserved_ || start > reserved_ - bytes)
    throw SystemError(fmt::format("arena: {} bytes on top of {} do not fit the reserve of {} bytes", bytes,
                                  used_, reserved_));
  const std::size_t end = start + bytes;
  const std::size_t ahead = std::max(end, committed_ + committed_ / 8);  // few calls, even for a long tape
  const std::size_t want = std::min(reserved_, (ahead + commit_step - 1) / commit_step * commit_step);
  if (mprotect(base_ + committed_, want - committed_, PROT_READ | PROT_WRITE) != 0)
    throw SystemError(fmt::format("arena: the system has no memory for {} bytes", want));
  committed_ = want;
}

void Arena::shrink() {
  const std::size_t keep = (used_ + commit_step - 1) / commit_step * commit_step;
  if (keep >= committed_) return;
  madvise(base_ + keep, committed_ - keep, MADV_DONTNEED);
  mprotect(base_ + keep, committed_ - keep, PROT_NONE);
  committed_ = keep;
  peak_ = used_;
}

}  // namespace tapegrad
