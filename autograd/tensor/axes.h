/// The axes of a reduction, as users name them and as runs of adjacent axes.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <initializer_list>
#include <string_view>

#include "shape.h"

namespace tapegrad {

/// The axes of a reduction: every axis, one, or several; negative ones count from the end.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : Axes({axis}) {}
  Axes(std::initializer_list<int> axes) : count_(static_cast<int>(axes.size())), all_(false) {
    expects(axes.size() <= axes_.size(), "axes: {} axes, but a tensor has at most {}", axes.size(),
            axes_.size());
    std::copy(axes.begin(), axes.end(), axes_.begin());
  }

  /// Returns true when this stands for every axis, however many there are.
  bool all() const { return all_; }
  const int* begin() const { return axes_.data(); }
  const int* end() const { return axes_.data() + count_; }

 private:
  std::array<int, Shape::max_rank> axes_{};
  int count_ = 0;
  bool all_ = true;
};

/// A bool to which no number converts: `sum(x, {0, 1})` does not compile, where it could be taken for
/// `{.axis = 0, .keepdim = true}`; several axes are `{.axis = {0, 1}}`.
class Flag {
 public:
  template <std::same_as<bool> B>
  constexpr Flag(B on) : on_(on) {}
  constexpr operator bool() const { return on_; }

 private:
  bool on_;
};

/// Adjacent axes, `count` from `first` on.
struct AxisRun {
  int first, count;
};

/// The axes of `shape` that `axes` names, as runs of adjacent axes from the last to the first. Every axis is
/// one run, of a scalar too. Throws when an axis is out of range or named twice.
class AxisRuns {
 public:
  AxisRuns(std::string_view op, const Shape& shape, const Axes& axes) {
    if (axes.all()) {
      named_.fill(true);
      runs_[count_++] = {0, shape.rank()};
      return;
    }
    for (const int axis : axes) {
      bool& named = named_[static_cast<std::size_t>(checked_axis(op, axis, shape))];
      expects(!named, "{}: axis {} is named twice among the axes of shape {}", op, axis, shape);
      named = true;
    }
    for (int end = shape.rank(), first = end; end > 0; end = first - 1) {
      first = end;
      while (first > 0 && names(first - 1)) --first;
      if (first < end) runs_[count_++] = {first, end - first};
    }
  }

  bool names(int axis) const { return named_[static_cast<std::size_t>(axis)]; }
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  const AxisRun* begin() const { return runs_.data(); }
  const AxisRun* end() const { return runs_.data() + count_; }

 private:
  std::array<bool, Shape::max_rank> named_{};
  std::array<AxisRun, Shape::max_rank> runs_{};
  std::size_t count_ = 0;
};

}  // namespace tapegrad
