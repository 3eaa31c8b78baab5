#include "shape.h"

#include <algorithm>
#include <string>

namespace tapegrad {

Shape::Shape(std::span<const Index> extents) {
  expects(extents.size() <= max_rank, "shape: {} axes, at most {} are possible", extents.size(), max_rank);
  for (Index extent : extents) {
    expects(extent >= 0, "shape: extent {} of axis {} is negative", extent, rank_);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }
}

Index Shape::checked_size() const {
  constexpr Index most = Index{1} << 56;  // any count of bytes fits an Index
  Index n = 1;
  bool fits = true;
  bool empty = false;
  for (Index extent : *this) {
    empty |= extent == 0;
    fits &= !__builtin_mul_overflow(n, extent == 0 ? 1 : extent, &n) && n <= most;
  }
  if (!fits) [[unlikely]]
    throw Error(fmt::format("shape: {} has more elements than any memory can hold", *this));
  return empty ? 0 : n;
}

Index Shape::rows() const {
  Index n = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis) n *= begin()[axis];
  return n;
}

Shape Shape::without(int axis) const {
  const auto at = static_cast<std::ptrdiff_t>(position(axis));
  Shape result = *this;
  std::copy(extents_.begin() + at + 1, extents_.begin() + rank_, result.extents_.begin() + at);
  --result.rank_;
  return result;
}

Shape Shape::inserted(int axis, Index extent) const {
  expects(rank_ < max_rank, "shape: {} has {} axes already, at most {} are possible", *this, rank_, max_rank);
  if (axis < -rank_ - 1 || axis > rank_) throw_axis(axis);
  const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank_ + 1 : axis);
  Shape result = *this;
  std::copy_backward(extents_.begin() + static_cast<std::ptrdiff_t>(at), extents_.begin() + rank_,
                     result.extents_.begin() + rank_ + 1);
  result.extents_[at] = extent;
  ++result.rank_;
  return result;
}

Shape Shape::with_tail(int drop, std::initializer_list<Index> tail) const {
  expects(drop >= 0 && drop <= rank_, "shape: {} axes cannot be dropped from {}", drop, *this);
  Shape result = *this;
  result.rank_ -= drop;
  for (Index extent : tail) {
    expects(result.rank_ < max_rank, "shape: more than {} axes", max_rank);
    result.extents_[static_cast<std::size_t>(result.rank_++)] = extent;
  }
  return result;
}

void Shape::throw_axis(int axis) const {
  throw Error(fmt::format("shape: axis {} is out of range for {}", axis, *this));
}

int Shape::normalized(int axis) const {
  if (axis < -rank_ || axis >= rank_) return -1;
  return axis < 0 ? axis + rank_ : axis;
}

bool broadcast(const Shape& a, const Shape& b, Shape& result) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  result = longer;
  if (a == b) return true;
  for (int axis = 1; axis <= shorter.rank(); ++axis) {
    const Index x = longer[-axis], y = shorter[-axis];
    if (x != y && x != 1 && y != 1) return false;
    result[-axis] = x == 1 ? y : x;
  }
  return true;
}

std::array<Index, Shape::max_rank> broadcast_strides(const Shape& from, const Shape& to) {
  std::array<Index, Shape::max_rank> strides{};
  Index stride = 1;
  for (int axis = 1; axis <= from.rank(); ++axis) {
    if (from[-axis] != 1) strides[static_cast<std::size_t>(to.rank() - axis)] = stride;
    stride *= from[-axis];
  }
  return strides;
}

int checked_axis(std::string_view op, int axis, const Shape& shape) {
  const int found = shape.normalized(axis);
  expects(found >= 0, "{}: axis {} is out of range for shape {}, which has {} axes", op, axis, shape,
          shape.rank());
  return found;
}

IndexRange checked_range(std::string_view op, const IndexRange& range, int axis, const Shape& shape) {
  const Index extent = shape[axis], end = range.end.value_or(extent);
  const IndexRange found{range.begin < 0 ? range.begin + extent : range.begin, end < 0 ? end + extent : end};
  expects(0 <= found.begin && found.begin <= *found.end && *found.end <= extent,
          "{}: {}:{} is out of range for axis {} of shape {}, which has extent {}", op, range.begin, end,
          axis, shape, extent);
  return found;
}

Index checked_index(std::string_view op, Index i, int axis, const Shape& shape) {
  const Index extent = shape[axis];
  expects(i >= -extent && i < extent,
          "{}: index {} is out of range for axis {} of shape {}, which has extent {}", op, i, axis, shape,
          extent);
  return i < 0 ? i + extent : i;
}

}  // namespace tapegrad

auto fmt::formatter<tapegrad::Shape>::format(const tapegrad::Shape& shape, format_context& context) const
    -> format_context::iterator {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank(); ++axis)
    text += fmt::format("{}{}", axis == 0 ? "" : ", ", shape[axis]);
  return formatter<std::string_view>::format(text + "]", context);
}
