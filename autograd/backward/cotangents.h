/// The gradient buffers of a backward pass.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "../memory/arena.h"
#include "../op.h"

namespace tapegrad {

/// The cotangents of one backward pass: a buffer in an arena for every flat output that a cotangent reached.
/// A buffer is cleared only when the op that reaches it cannot write it first. With `reuse`, released memory
/// is used again, so the arena grows only by the buffers that are live at once.
class Cotangents {
 public:
  /// Allocates `lasting` buffers in `lasting_arena`, which may be `arena`.
  Cotangents(Arena& arena, Arena& lasting_arena, std::uint32_t outputs, bool reuse);

  /// Returns true when every element of a buffer holds something.
  bool full(std::uint32_t flat) const { return buffers_[flat] != nullptr && partial_.empty(); }

  /// The elements of a buffer that were written.
  Range written(std::uint32_t flat) const {
    for (const Partial& p : partial_)
      if (p.flat == flat) return {p.begin, p.end};
    return everything;
  }
  /// Makes room for at least `outputs` flat outputs.
  void reserve(std::uint32_t outputs);

  /// The buffer of a flat output; null where nothing arrived.
  void* operator[](std::uint32_t flat) const { return buffers_[flat]; }
  void* const* buffers() const { return buffers_; }

  /// A buffer of `like`'s size to add to, zeros where nothing arrived yet. A `lasting` buffer is never
  /// released.
  void* sum(std::uint32_t flat, const TensorView& like, bool lasting);
  /// A buffer as from `sum`, but when `uninitialized` is true afterwards, its range `part` is uninitialised.
  void* write(std::uint32_t flat, const TensorView& like, bool lasting, Range part, bool& uninitialized) {
    void*& sum = buffers_[flat];
    uninitialized = sum == nullptr;
    if (!uninitialized && partial_.empty()) return sum;
    if (uninitialized && part.begin == 0 && part.end == everything.end)
      return sum = take(like.byte_count(), lasting);
    return write_part(flat, like, lasting, part, uninitialized);
  }

  /// Fills the unwritten part of one buffer, or of all, with zeros.
  void zero_fill_unwritten(std::uint32_t flat) {
    if (!partial_.empty()) zero_fill_partial(flat);
  }
  void zero_fill_all();

  /// Moves the memory of `from` to `to`, which has none; `from` then has none.
  void hand_over(std::uint32_t from, std::uint32_t to) {
    buffers_[to] = buffers_[from];
    buffers_[from] = nullptr;
  }
  /// Releases a buffer of `like`'s size for reuse.
  void release(std::uint32_t flat, const TensorView& like) {
    if (buffers_[flat] == nullptr) return;
    Block*& head = free_[SizeClass(like.byte_count()).number];
    head = new (buffers_[flat]) Block{head};
    buffers_[flat] = nullptr;
  }

 private:
  /// Block sizes: 16, 32, 48 and 64 bytes, then four for each power of two.
  struct SizeClass {
    std::size_t bytes, number;

    explicit SizeClass(std::size_t wanted) {
      wanted = std::max<std::size_t>(wanted, 16);
      const auto width = static_cast<std::size_t>(std::bit_width(wanted - 1));
      const std::size_t shift = width <= 6 ? 4 : width - 3, steps = ((wanted - 1) >> shift) + 1;
      bytes = steps << shift;
      number = 4 * width + (steps & 3);
    }
  };
  /// A buffer of which only elements [begin, end) were written.
  struct Partial {
    std::uint32_t flat;
    Index begin, end, size;
    std::size_t element_bytes;
  };
  struct Block {
    Block* next;
  };

  void* take(std::size_t bytes, bool lasting) {
    void* taken = nullptr;
    const bool apart = lasting && &lasting_arena_ != &arena_;
    if (reuse_ && !apart) {
      const SizeClass size(bytes);
      if (Block*& head = free_[size.number]; head != nullptr) {
        taken = head;
        head = head->next;
      } else if (!lasting) {
        bytes = size.bytes;
      }
    }
    if (taken == nullptr) taken = (apart ? lasting_arena_ : arena_).allocate(bytes);
#ifndef NDEBUG
    std::memset(taken, 0xff, bytes);  // NaN, to expose reads of what should be written
#endif
    return taken;
  }
  void* write_part(std::uint32_t flat, const TensorView& like, bool lasting, Range part, bool& uninitialized);
  void clear(const Partial& p, Index begin, Index end);
  void zero_fill_partial(std::uint32_t flat);
  bool extend(std::size_t at, Range part);

  Arena &arena_, &lasting_arena_;
  void** buffers_;
  std::uint32_t places_;
  bool reuse_;
  ScratchVector<Partial> partial_;  // few: weights that are read by ranges of rows
  std::array<Block*, 256> free_;    // by size class; set up with `reuse_` only
};

}  // namespace tapegrad
