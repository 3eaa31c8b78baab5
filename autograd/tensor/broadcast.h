/// The shape rule and the strides of broadcasting, as in NumPy.
#pragma once
#include <array>

#include "shape.h"

namespace tapegrad {

/// Walks the elements of `out`, to which `a` and `b` broadcast, in row-major order, one innermost run at a
/// time: `run(out_offset, a_offset, b_offset, count, a_step, b_step)` with steps 0 or 1. Adjacent axes that
/// both operands traverse alike are merged first, so equal shapes make a single run.
template <class Run>
void for_each_run(const Shape& out, const Shape& a, const Shape& b, Run&& run) {
  const Index size = out.size();
  if (size == 0) return;
  if (a == out && b == out) return run(Index{0}, Index{0}, Index{0}, size, Index{1}, Index{1});
  struct Axis {
    Index extent = 1, a = 0, b = 0;
  };
  std::array<Axis, Shape::max_rank> axes;  // innermost first
  const auto a_strides = broadcast_strides(a, out), b_strides = broadcast_strides(b, out);
  std::size_t count = 0;
  for (int i = out.rank(); i-- > 0;) {
    const auto at = static_cast<std::size_t>(i);
    if (out[i] == 1) continue;
    const Axis axis{out[i], a_strides[at], b_strides[at]};
    Axis* inner = count > 0 ? &axes[count - 1] : nullptr;
    if (inner && axis.a == inner->a * inner->extent && axis.b == inner->b * inner->extent)
      inner->extent *= axis.extent;
    else
      axes[count++] = axis;
  }
  if (count == 0) {
    run(Index{0}, Index{0}, Index{0}, Index{1}, Index{0}, Index{0});
    return;
  }
  std::array<Index, Shape::max_rank> position{};
  Index out_at = 0, a_at = 0, b_at = 0;
  for (;;) {
    run(out_at, a_at, b_at, axes[0].extent, axes[0].a, axes[0].b);
    out_at += axes[0].extent;
    std::size_t i = 1;
    for (; i < count; ++i) {
      a_at += axes[i].a;
      b_at += axes[i].b;
      if (++position[i] < axes[i].extent) break;
      a_at -= axes[i].a * axes[i].extent;
      b_at -= axes[i].b * axes[i].extent;
      position[i] = 0;
    }
    if (i == count) return;
  }
}

}  // namespace tapegrad
