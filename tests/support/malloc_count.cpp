#include <tests/support/malloc_count.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TAPEGRAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TAPEGRAD_SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(TAPEGRAD_SANITIZED)

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

constinit std::atomic<std::uint64_t> calls{0};

void count() { calls.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// glibc's own entry points; glibc's free() releases their memory.
extern "C" {

void* __libc_malloc(std::size_t bytes) noexcept;
void* __libc_calloc(std::size_t count, std::size_t bytes) noexcept;
void* __libc_realloc(void* block, std::size_t bytes) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t bytes) noexcept;

void* malloc(std::size_t bytes) noexcept {
  count();
  return __libc_malloc(bytes);
}

void* calloc(std::size_t items, std::size_t bytes) noexcept {
  count();
  return __libc_calloc(items, bytes);
}

void* realloc(void* block, std::size_t bytes) noexcept {
  count();
  return __libc_realloc(block, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}

void* valloc(std::size_t bytes) noexcept {
  count();
  return __libc_memalign(static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), bytes);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  count();
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* p = __libc_memalign(alignment, bytes);
  if (p == nullptr) return ENOMEM;
  *block = p;
  return 0;
}
}

namespace tapegrad::test {

bool counts_allocations() { return true; }
std::uint64_t allocation_calls() { return calls.load(std::memory_order_relaxed); }

}  // namespace tapegrad::test

#else

namespace tapegrad::test {

bool counts_allocations() { return false; }
std::uint64_t allocation_calls() { return 0; }

}  // namespace tapegrad::test

#endif
