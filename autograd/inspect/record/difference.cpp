#include "difference.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tapegrad {
namespace {

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double x : values)
    if (std::isfinite(x)) most = std::max(most, std::abs(x));
  return most;
}

/// The first element that differs, or -1.
Index first_difference(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  const double bound = tolerance > 0 ? tolerance * std::max(largest(a), largest(b)) : 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    const bool same = tolerance > 0
                          ? a[i] == b[i] || std::abs(a[i] - b[i]) <= bound
                          : std::bit_cast<std::uint64_t>(a[i]) == std::bit_cast<std::uint64_t>(b[i]);
    if (!same) return static_cast<Index>(i);
  }
  return -1;
}

std::string place(Index element, const Shape& shape) {
  std::string text;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    text = fmt::format("{}{}{}", element % shape[axis], text.empty() ? "" : ", ", text);
    element /= shape[axis];
  }
  return fmt::format("[{}]", text);
}

std::string title(const RecordedValue& v) {
  const std::string name = v.name();
  return fmt::format("value {}, {}{}{} {}", v.id, name, name.empty() ? "" : " ", v.op, v.shape);
}

std::string list(const std::vector<std::uint32_t>& ids) {
  std::string text;
  for (const std::uint32_t id : ids) text += fmt::format("{}{}", text.empty() ? "" : ", ", id);
  return fmt::format("[{}]", text);
}

/// The difference between the descriptions of two values; empty when they agree.
std::string structure(const RecordedValue& a, const RecordedValue& b) {
  if (a.op != b.op) return fmt::format("its op is {} and {}", a.op, b.op);
  if (a.parameter && a.label != b.label) return fmt::format("it is parameter {} and {}", a.label, b.label);
  if (a.leaf() && a.shape == b.shape) return {};  // only one of them may have a tap's name
  if (a.shape != b.shape) return fmt::format("its shape is {} and {}", a.shape, b.shape);
  if (a.inputs != b.inputs) return fmt::format("its inputs are {} and {}", list(a.inputs), list(b.inputs));
  if (a.label == b.label && a.module != b.module)
    return fmt::format("its layer is '{}' and '{}'", a.module, b.module);
  return {};
}

Difference numbers(Difference::Kind kind, const RecordedValue& v, Index element, const std::vector<double>& a,
                   const std::vector<double>& b) {
  const double x = a[static_cast<std::size_t>(element)], y = b[static_cast<std::size_t>(element)];
  const char* what = kind == Difference::Kind::value ? "element" : "gradient at";
  return {kind,    v.id, fmt::format("{}: {} {} is {} and {}", title(v), what, place(element, v.shape), x, y),
          element, x,    y};
}

std::optional<Difference> gradient(const RecordedValue& a, const RecordedValue& b, double tolerance) {
  constexpr auto kind = Difference::Kind::gradient;
  if (a.gradient.size() != b.gradient.size()) {
    const bool first = b.gradient.empty();
    return Difference{kind, a.id,
                      fmt::format("{}: a gradient reaches it in the {} recording alone", title(a),
                                  first ? "first" : "second")};
  }
  const Index element = first_difference(a.gradient, b.gradient, tolerance);
  if (element < 0) return {};
  return numbers(kind, a, element, a.gradient, b.gradient);
}

}  // namespace

std::optional<Difference> diff(const TapeRecord& a, const TapeRecord& b, double tolerance) {
  using Kind = Difference::Kind;
  expects(tolerance >= 0, "diff: tolerance must be at least 0, got {}", tolerance);
  const std::size_t both = std::min(a.values.size(), b.values.size());
  for (std::size_t i = 0; i < both; ++i) {
    const RecordedValue &x = a.values[i], &y = b.values[i];
    if (const std::string what = structure(x, y); !what.empty())
      return Difference{Kind::structure, x.id, fmt::format("{}: {}", title(x), what)};
    const Index element = first_difference(x.value, y.value, tolerance);
    if (element >= 0) return numbers(Kind::value, x, element, x.value, y.value);
  }
  if (a.values.size() != b.values.size()) {
    const bool first = a.values.size() > both;
    const RecordedValue& extra = (first ? a : b).values[both];
    return Difference{
        Kind::missing, extra.id,
        fmt::format("{}: the {} recording alone has it", title(extra), first ? "first" : "second")};
  }
  for (std::size_t i = both; i-- > 0;)  // the backward pass walks from the last value to the first
    if (auto found = gradient(a.values[i], b.values[i], tolerance)) return found;
  return {};
}

std::string to_text(const std::optional<Difference>& difference) {
  return difference ? difference->text : "no difference";
}

}  // namespace tapegrad
