#pragma once
#include <array>
#include <span>

#include <tapegrad/autograd/arena.h>
#include <tapegrad/autograd/op.h>

namespace tapegrad {

/// The cotangents of one backward pass: a buffer for every flat output that something reached, in an arena.
/// Nothing is cleared before it is known that an op cannot write there. With `reuse`, what was released
/// serves again, so that the arena grows by what lives at once.
class Cotangents {
 public:
  Cotangents(Arena& arena, std::uint32_t outputs, bool reuse);

  /// Whether a buffer has no element left that holds nothing.
  bool full(std::uint32_t flat) const { return buffers_[flat] != nullptr && partial_.empty(); }

  /// Null where nothing arrived.
  void* operator[](std::uint32_t flat) const { return buffers_[flat]; }
  void* const* buffers() const { return buffers_; }

  /// Memory of `like`'s size to add to, zeros where nothing arrived yet. `lasting`: it is never released.
  void* sum(std::uint32_t flat, const TensorView& like, bool lasting);
  /// The same, but when `fresh` is true afterwards, `part` of it is uninitialised.
  void* write(std::uint32_t flat, const TensorView& like, bool lasting, Range part, bool& fresh);

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
  void release(std::uint32_t flat, const TensorView& like);

 private:
  /// A buffer of which only elements [begin, end) hold something.
  struct Partial {
    std::uint32_t flat;
    Index begin, end, size;
    std::size_t element_bytes;
  };
  struct Block {
    Block* next;
  };

  void* take(std::size_t bytes, bool lasting);
  void clear(const Partial& p, Index begin, Index end);
  void complete_partial(std::uint32_t flat);
  bool extend(std::size_t at, Range part);

  Arena& arena_;
  void** buffers_;
  bool reuse_;
  ScratchVector<Partial> partial_;  // few: weights that are read by ranges of rows
  std::array<Block*, 256> free_;    // by size class; set up with `reuse_` only
};

}  // namespace tapegrad
