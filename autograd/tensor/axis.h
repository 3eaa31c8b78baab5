/// Extents before, along and behind one axis, for loops over rows.
#pragma once
#include <cstring>

#include "../kernels/elementwise.h"
#include "tensor.h"

namespace tapegrad {

/// An array seen from one of its axes: [outer, extent, inner].
struct AxisView {
  Index outer = 1, extent = 1, inner = 1;

  AxisView(const Shape& shape, int axis) : extent(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
  /// Elements from one `outer` to the next.
  Index step() const { return extent * inner; }
};

/// `count` blocks of `length` elements, which begin `step` elements apart, `offset` elements into an array.
struct Blocks {
  TensorView array;
  Index offset, step;
};

/// to = from, block by block, of any dtype.
inline void copy_blocks(const Blocks& from, const Blocks& to, Index count, Index length) {
  const auto width = static_cast<Index>(byte_size(from.array.dtype));
  const std::byte* source = from.array.data<std::byte>() + from.offset * width;
  std::byte* target = to.array.data<std::byte>() + to.offset * width;
  for (Index i = 0; i < count && length > 0; ++i)
    std::memcpy(target + i * to.step * width, source + i * from.step * width,
                static_cast<std::size_t>(length * width));
}

/// to += from, block by block.
inline void add_blocks(const Blocks& from, const Blocks& to, Index count, Index length) {
  dispatch(from.array.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* source = from.array.data<T>() + from.offset;
    T* target = to.array.data<T>() + to.offset;
    for (Index i = 0; i < count; ++i) kernels::add_into(target + i * to.step, source + i * from.step, length);
  });
}

}  // namespace tapegrad
