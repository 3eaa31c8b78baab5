/// A bump allocator over reserved address space, and a growable array in one.
#pragma once
#include <cstddef>
#include <new>
#include <type_traits>

namespace tapegrad {

/// A bump allocator over one reserved stretch of address space, committed as it grows: memory never moves,
/// freeing moves the mark back, and memory that was used once is used again without a system call. For one
/// thread. The reserve is 64 GiB, 8 GiB when many arenas exist, and under `ulimit -v` at most 1/64 of the
/// limit.
class Arena {
 public:
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Uninitialised memory, 64-byte aligned from 64 bytes up and 16-byte aligned below. Throws Error when the
  /// reserve is full.
  void* allocate(std::size_t bytes) {
    const std::size_t alignment = bytes >= 64 ? 64 : 16;
    return take((used_ + alignment - 1) & ~(alignment - 1), bytes);
  }
  std::size_t used() const { return used_; }
  std::size_t peak() const { return used_ > peak_ ? used_ : peak_; }
  /// Returns the next `bytes` bytes, without alignment: consecutive extensions are contiguous.
  void* extend(std::size_t bytes) { return take(used_, bytes); }
  std::byte* base() const { return base_; }
  /// Frees everything allocated since `used()` returned `mark`.
  void rewind(std::size_t mark) {
    peak_ = peak();
    used_ = mark;
  }
  /// Returns all memory beyond `used()` to the system.
  void shrink();

  template <class T>
  T* array(std::size_t count) {
    return static_cast<T*>(allocate(count * sizeof(T)));
  }

 private:
  void* take(std::size_t start, std::size_t bytes) {
    if (start > committed_ || bytes > committed_ - start) [[unlikely]]
      commit(start, bytes);
    used_ = start + bytes;
    return base_ + start;
  }
  /// Makes room for `bytes` bytes from `start` on.
  void commit(std::size_t start, std::size_t bytes);

  std::byte* base_ = nullptr;
  std::size_t used_ = 0, committed_ = 0, reserved_ = 0;
  std::size_t peak_ = 0;  // up to the last rewind
};

/// A growable array in an arena of its own: elements never move, and memory is returned only by `shrink`.
template <class T>
class ArenaVector {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  T& push_back(const T& value) { return *new (arena_.extend(sizeof(T))) T(value); }
  /// Appends a default element for the caller to fill in.
  T& add() { return *new (arena_.extend(sizeof(T))) T; }
  T& operator[](std::size_t i) { return reinterpret_cast<T*>(arena_.base())[i]; }
  const T& operator[](std::size_t i) const { return reinterpret_cast<const T*>(arena_.base())[i]; }
  std::size_t size() const { return arena_.used() / sizeof(T); }
  /// Drops all elements but the first `count`.
  void truncate(std::size_t count) { arena_.rewind(count * sizeof(T)); }
  void shrink() { arena_.shrink(); }
  std::size_t bytes() const { return arena_.used(); }
  std::size_t peak_bytes() const { return arena_.peak(); }

 private:
  Arena arena_;
};

}  // namespace tapegrad
