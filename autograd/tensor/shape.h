/// Shapes: extents of up to eight axes.
#pragma once
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "../base/error.h"

namespace tapegrad {

using Index = std::int64_t;

/// Extents of a dense row-major array, stored in place (no allocation); rank 0 is a scalar. At most
/// `max_rank` axes.
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<Index> extents)
      : Shape(std::span<const Index>(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const Index> extents);

  int rank() const { return rank_; }
  /// Extent of `axis`; a negative axis counts from the end (-1 is the last). Throws when it is out of range.
  Index operator[](int axis) const { return extents_[position(axis)]; }
  Index& operator[](int axis) { return extents_[position(axis)]; }
  /// Number of elements: 1 for a scalar, 0 when any extent is 0. Throws when the extents besides 0 multiply
  /// to more than any memory could hold, so that no product of extents of an existing array overflows.
  Index size() const {
    std::uint64_t product = 1, bits = 0;
    for (const Index extent : *this) {
      product *= static_cast<std::uint64_t>(extent);
      bits |= static_cast<std::uint64_t>(extent);
    }
    if (rank_ <= 4 && bits < 1U << 14) [[likely]]
      return static_cast<Index>(product);  // at most 2^56
    return checked_size();
  }
  const Index* begin() const { return extents_.data(); }
  const Index* end() const { return extents_.data() + rank_; }

  /// The last extent (1 for a scalar) and the product of all others: the matrix that `Tensor::matrix` shows.
  Index cols() const { return rank_ == 0 ? 1 : extents_[static_cast<std::size_t>(rank_ - 1)]; }
  Index rows() const;

  /// Without `axis`, or with a new one at `axis` (-1: the last); both throw when it is out of range.
  Shape without(int axis) const;
  Shape inserted(int axis, Index extent) const;
  /// This shape with the last `drop` axes replaced by `tail`.
  Shape with_tail(int drop, std::initializer_list<Index> tail) const;
  /// `axis` counted from the front, or -1 when it is out of range.
  int normalized(int axis) const;

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)  // few: std::equal would call memcmp
      if (a.begin()[i] != b.begin()[i]) return false;
    return true;
  }

 private:
  std::size_t position(int axis) const {
    const int at = axis < 0 ? axis + rank_ : axis;
    if (at < 0 || at >= rank_) [[unlikely]]
      throw_axis(axis);
    return static_cast<std::size_t>(at);
  }
  [[noreturn]] void throw_axis(int axis) const;
  Index checked_size() const;

  std::array<Index, max_rank> extents_{};
  int rank_ = 0;
};

/// NumPy's broadcasting of two shapes, aligned at the last axis; false when they do not fit.
bool broadcast(const Shape& a, const Shape& b, Shape& result);

/// Element strides of `from` read as `to` (0 on every broadcast axis). `from` must broadcast to `to`.
std::array<Index, Shape::max_rank> broadcast_strides(const Shape& from, const Shape& to);

/// `axis` counted from the front; throws `op: axis 3 is out of range for shape [2, 4]` (with the range that
/// fits).
int checked_axis(std::string_view op, int axis, const Shape& shape);

/// Elements begin, begin + 1, …, end - 1 of an axis, as `begin:end` in NumPy: negative numbers count from the
/// end, and without `end` it runs to the end.
struct IndexRange {
  Index begin = 0;
  std::optional<Index> end = std::nullopt;
};

/// `range` of `axis`, counted from the front and with its end. Throws, naming `op`, unless
/// 0 <= begin <= end <= extent; NumPy would cut it to that.
IndexRange checked_range(std::string_view op, const IndexRange& range, int axis, const Shape& shape);
/// `i` along `axis`, counted from the front. Throws, naming `op`, when it is out of range.
Index checked_index(std::string_view op, Index i, int axis, const Shape& shape);

}  // namespace tapegrad

/// Prints `[2, 3]`.
template <>
struct fmt::formatter<tapegrad::Shape> : fmt::formatter<std::string_view> {
  auto format(const tapegrad::Shape& shape, format_context& context) const -> format_context::iterator;
};
