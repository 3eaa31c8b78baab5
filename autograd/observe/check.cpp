#include "check.h"

#include <algorithm>
#include <cmath>

#include "../tensor/index_of.h"

namespace tapegrad {

Index first_non_finite(const TensorView& x, Range part) {
  if (!can_compute(x.dtype) || !x) return -1;
  return dispatch(x.dtype, [&](auto zero) -> Index {
    const auto* values = x.data<decltype(zero)>();
    for (Index i = part.begin; i < std::min(part.end, x.size()); ++i)
      if (!std::isfinite(values[i])) return i;
    return -1;
  });
}

Index first_non_finite(const TensorView& x) { return first_non_finite(x, everything); }

std::string element_text(const TensorView& x, Index element) {
  const std::string kind = dispatch(x.dtype, [&](auto zero) {
    const auto value = x.data<decltype(zero)>()[element];
    return std::string(std::isnan(value) ? "NaN" : value > 0 ? "+inf" : "-inf");
  });
  return x.shape.rank() == 0 ? kind : fmt::format("{} at {}", kind, index_of(x.shape, element));
}

std::string range_text(const TensorView& x) {
  if (!x) return fmt::format("{} none", x.shape);
  if (!can_compute(x.dtype) || x.size() == 0) return fmt::format("{} {}", x.shape, dtype_name(x.dtype));
  return dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T low = INFINITY, high = -INFINITY;
    Index nans = 0, infinite = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const T value = x.data<T>()[i];
      nans += std::isnan(value);
      infinite += std::isinf(value);
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    std::string text = low <= high ? fmt::format("{} in [{:.6g}, {:.6g}]", x.shape, low, high)
                                   : fmt::format("{} nothing finite", x.shape);
    if (nans > 0) text += fmt::format(", {} NaN", nans);
    if (infinite > 0) text += fmt::format(", {} infinite", infinite);
    return text;
  });
}

}  // namespace tapegrad
