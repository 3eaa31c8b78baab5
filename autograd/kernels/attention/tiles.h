/// Internal: what attention forward and backward share when they go tile by tile of queries and keys.
#pragma once

#include "lanes.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

constexpr Index kTileKeys = 128;
constexpr Index kEdgeRows = 12;  // at once where some rows see fewer keys than others; whole tiles of C

/// Hands out parts of one block of scratch, each at a multiple of 16 values.
template <class T>
class Parts {
 public:
  Parts(Scratch which, Index count)
      : next_(static_cast<T*>(workspace(which, static_cast<std::size_t>(count) * sizeof(T)))) {}
  T* take(Index count) {
    T* part = next_;
    next_ += round_up(count, kLanes);
    return part;
  }

 private:
  T* next_;
};

/// The rows of one head, which need not be neighbours in memory.
template <class T>
struct HeadRows {
  T* data;  // null: asked for nothing
  Index stride, width;

  HeadRows(T* from, const HeadStrides& strides, Place head, Index values)
      : data(from ? from + head.in(strides) : nullptr), stride(strides.row), width(values) {}

  using Value = std::remove_const_t<T>;

  void copy_to(Index first, Index rows, Value* to, Index ld) const {
    copy_rows(data + first * stride, stride, rows, to, ld);
  }
  void copy_from(const Value* from, Index ld, Index first, Index rows) const {
    copy_rows(from, ld, rows, data + first * stride, stride);
  }
  /// A contiguous sum: what it goes on from, or zeros.
  void begin_sum(bool add, Index first, Index rows, Value* to, Index ld) const {
    if (add)
      copy_to(first, rows, to, ld);
    else
      __builtin_memset(to, 0, static_cast<std::size_t>(rows * ld) * sizeof(T));
  }
  /// Prefetches rows that are needed soon. Rows of other heads stand between them, so the hardware does not.
  void prefetch(Index first, Index rows) const {
    constexpr Index line = 64 / Index{sizeof(T)};
    if (!data) return;
    for (Index i = first; i < first + rows; ++i)
      for (Index j = 0; j < width + line - 1; j += line)
        __builtin_prefetch(data + i * stride + min_of(j, width - 1), 0, 2);
  }

 private:
  void copy_rows(const Value* from, Index ld_from, Index rows, Value* to, Index ld_to) const {
    for (Index i = 0; i < rows; ++i)
      for_each_vector<Value>(
          width, [&](auto mask, Index j) __attribute__((always_inline)) {
            mask.store(to + i * ld_to + j, mask.load(from + i * ld_from + j));
          });
  }
};

/// sum(out * dout) of `rows` queries of a head from `first` on; `lanes` is scratch [2, value_dim, 16].
template <class T>
void dot_rows(HeadRows<const T> out, HeadRows<const T> dout, Index first, Index rows, T* lanes, T* sums) {
  T* dout_lanes = lanes + out.width * kLanes;
  for (Index i = 0; i < rows; i += kLanes) {
    const Index some = min_of<Index>(kLanes, rows - i), at = first + i;
    rows_to_lanes(out.data + at * out.stride, out.stride, some, out.width, lanes);
    rows_to_lanes(dout.data + at * dout.stride, dout.stride, some, out.width, dout_lanes);
    dot_lanes(lanes, dout_lanes, out.width, sums + i);
  }
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
