#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "../memory/arena.h"
#include "../op.h"

namespace tapegrad {

/// The cotangents of one backward pass: a buffer for every flat output that something reached, in an arena.
/// Nothing is cleared before it is known that an op cannot write there. With `reuse`, what was released
/// serves again, so that the arena grows by what lives at once.
class Cotangents {
 public:
  /// `lasting` buffers come from an arena of their own where `lasting_arena` is another one.
  Cotangents(Arena& arena, Arena& lasting_arena, std::uint32_t outputs, bool reuse);

  /// Whether a buffer has no element left that holds nothing.
  bool full(std::uint32_t flat) const { return buffers_[flat] != nullptr && partial_.empty(); }

  /// The elements of a buffer that hold something.
  Range written(std::uint32_t flat) const {
    for (const Partial& p : partial_)
      if (p.flat == flat) return {p.begin, p.end};
    return everything;
  }
  /// Makes room for `outputs` flat outputs where there is less.
  void reserve(std::uint32_t outputs);

  /// Null where nothing arrived.
  void* operator[](std::uint32_t flat) const { return buffers_[flat]; }
  void* const* buffers() const { return buffers_; }

  /// Memory of `like`'s size to add to, zeros where nothing arrived yet. `lasting`: it is never released.
  void* sum(std::uint32_t flat, const TensorView& like, bool lasting);
  /// The same, but when `fresh` is true afterwards, `part` of it is uninitialised.
  void* write(std::uint32_t flat, const TensorView& like, bool lasting, Range part, bool& fresh) {
    void*& sum = buffers_[flat];
    fresh = sum == nullptr;
    if (!fresh && partial_.empty()) return sum;
    if (fresh && part.begin == 0 && part.end == everything.end) return sum = take(like.byte_count(), lasting);
    return write_part(flat, like, lasting, part, fresh);
  }

  /// Zeros where nothing was written so far, of one buffer or of all.
  void complete(std::uint32_t flat) {
    if (!partial_.empty()) complete_partial(flat);
  }
  void complete_all();

  /// `to`, which holds nothing, takes over the memory of `from`, which holds nothing from then on.
  void hand_over(std::uint32_t from, std::uint32_t to) {
    buffers_[to] = buffers_[from];
    buffers_[from] = nullptr;
  }
  /// Forgets a buffer of `like`'s size, for others to use.
  void release(std::uint32_t flat, const TensorView& like) {
    if (buffers_[flat] == nullptr) return;
    Block*& head = free_[SizeClass(like.byte_count()).number];
    head = new (buffers_[flat]) Block{head};
    buffers_[flat] = nullptr;
  }

 private:
  /// Sizes of blocks: 16, 32, 48, 64 bytes and from there on four for each power of two.
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
  /// A buffer of which only elements [begin, end) hold something.
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
    std::memset(taken, 0xff, bytes);  // NaN, for whoever reads what it should write
#endif
    return taken;
  }
  void* write_part(std::uint32_t flat, const TensorView& like, bool lasting, Range part, bool& fresh);
  void clear(const Partial& p, Index begin, Index end);
  void complete_partial(std::uint32_t flat);
  bool extend(std::size_t at, Range part);

  Arena &arena_, &lasting_arena_;
  void** buffers_;
  std::uint32_t places_;
  bool reuse_;
  ScratchVector<Partial> partial_;  // few: weights that are read by ranges of rows
  std::array<Block*, 256> free_;    // by size class; set up with `reuse_` only
};

}  // namespace tapegrad
