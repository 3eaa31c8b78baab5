/// Internal to the diagnosis: tests one suspected mistake against the gradient of one subject
/// (`GradientMatch`), and declares the families of mistakes that diagnosis.cpp tries in turn.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "../../tensor/index_of.h"
#include "diagnosis.h"

namespace tapegrad::diagnosis {

/// The value that a mistake predicts for an element. `scale` is the factor by which it magnifies the noise of
/// `numeric`. The value is NaN if it depends on an element that was not compared.
struct Prediction {
  double value = std::numeric_limits<double>::quiet_NaN(), scale = 1;
};

inline std::size_t pos(Index i) { return static_cast<std::size_t>(i); }

/// Compares the analytic gradient of one subject with the values that a mistake predicts from the numeric
/// gradient.
class GradientMatch {
 public:
  GradientMatch(const CheckedGradients& all, const CheckedSubject& subject)
      : s(subject), tolerance_(all.tolerance), floor_(all.floor) {
    for (Index i = 0; i < size(); ++i) {
      compared += s.compared[pos(i)];
      wrong += is_wrong(i);
      wrong_not_zero += is_wrong(i) && !is_zero(a(i));
    }
  }

  Index size() const { return static_cast<Index>(s.analytic.size()); }
  double a(Index i) const { return s.analytic[pos(i)]; }
  double n(Index i) const { return s.numeric[pos(i)]; }
  bool known(Index i) const { return s.compared[pos(i)]; }
  bool is_wrong(Index i) const { return known(i) && !near(a(i), {n(i)}); }
  bool is_zero(double value) const { return std::abs(value) <= tolerance_ * floor_; }

  bool near(double value, const Prediction& p) const {
    const double largest = std::max(std::abs(value), std::abs(p.value));
    return std::isfinite(largest) &&
           std::abs(value - p.value) <= tolerance_ * std::max(floor_ * std::max(1.0, p.scale), largest);
  }

  /// The number of elements other than 0 that speak for a mistake; 0 when one speaks against it.
  template <class Predict>
  Index support(Predict&& predict) const {
    Index found = 0, predicted = 0, explained = 0;
    for (Index i = 0; i < size(); ++i) {
      if (!known(i)) continue;
      const Prediction p = predict(i);
      if (std::isnan(p.value)) continue;
      if (!near(a(i), p)) return 0;
      ++predicted;
      found += !is_zero(a(i));
      explained += is_wrong(i);
    }
    return 2 * predicted >= compared && explained > 0 ? found : 0;
  }
  template <class Predict>
  bool fits(Predict&& predict) const {
    return support(predict) >= 2;
  }
  /// " = " or " = -" when the mistake fits as it is or with the other sign, otherwise empty.
  template <class Predict>
  std::string fits_signed(Predict&& predict) const {
    if (fits(predict)) return " = ";
    const auto opposite = [&](Index i) {
      const Prediction p = predict(i);
      return Prediction{-p.value, p.scale};
    };
    return fits(opposite) ? " = -" : "";
  }

  /// The numeric derivative of another element; element -1 counts as 0.
  Prediction numeric_at(Index i) const {
    if (i < 0) return {0};
    return known(i) ? Prediction{n(i)} : Prediction{};
  }

  const CheckedSubject& s;
  Index compared = 0, wrong = 0, wrong_not_zero = 0;

 private:
  double tolerance_, floor_;
};

inline Index offset_of(const Shape& shape, const Shape& index) {
  Index i = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) i = i * shape[axis] + index[axis];
  return i;
}

/// The element of `from` that element `i` of `to` is a copy of when `from` is broadcast to `to`.
inline Index source_of(const Shape& from, const Shape& to, Index i) {
  const auto strides = broadcast_strides(from, to);
  const Shape index = index_of(to, i);
  Index source = 0;
  for (int axis = 0; axis < to.rank(); ++axis) source += index[axis] * strides[pos(axis)];
  return source;
}

/// `a, b and c`.
inline std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return text;
}

/// One index of each of some axes of a shape.
struct Slice {
  Shape index;  ///< at the axes only
  std::vector<int> axes;

  bool has(const Shape& i) const {
    return std::all_of(axes.begin(), axes.end(), [&](int axis) { return i[axis] == index[axis]; });
  }
  /// `index 2 of axis 0 and index 1 of axis 3`.
  std::string text() const;
};
/// The slices for every choice of some of the axes, at most 256 for each.
std::vector<Slice> slices(const Shape& shape, const std::vector<int>& axes);

/// True when the last two axes have equal extents above 1, so that they can be swapped in place.
inline bool is_square(const Shape& shape) {
  const int rank = shape.rank();
  return rank > 1 && shape[rank - 1] == shape[rank - 2] && shape[rank - 1] > 1;
}
/// The position of element `i` after the last two axes are swapped.
inline Index transposed(const Shape& shape, Index i) {
  Shape index = index_of(shape, i);
  std::swap(index[shape.rank() - 1], index[shape.rank() - 2]);
  return offset_of(shape, index);
}

/// Each of these returns a finding about a subject, with `@` for its name, or an empty string when nothing
/// fits.
std::string constant_factor(const GradientMatch& m, const CheckedGradients& all);
/// Returns, for example, `analytic = -numeric / 2` when a constant factor explains every element.
std::string constant_multiple(const GradientMatch& m);
std::string wrong_factor(const GradientMatch& m, const CheckedGradients& all);
std::string lost_part(const GradientMatch& m);
std::string lost_sum(const GradientMatch& m);
std::string wrong_layout(const GradientMatch& m);
std::string lost_index(const GradientMatch& m, const CheckedGradients& all);
std::string transposed_factor(const GradientMatch& m, const CheckedGradients& all);
std::string part_of_jacobian(const GradientMatch& m, const CheckedGradients& all);

}  // namespace tapegrad::diagnosis
