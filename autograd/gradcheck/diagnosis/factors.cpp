// The factors that a wrong gradient may have: constants, and values that the chain rule brings in.
#include "match.h"

namespace tapegrad::diagnosis {
namespace {

struct Count {
  Index n;
  std::string what;
};

/// Numbers that a mean divides by, the most likely first.
std::vector<Count> counts(const GradientMatch& m, const CheckedGradients& all) {
  std::vector<Count> found;
  for (const GradientPart& part : m.s.parts)
    if (part.shape != m.s.shape && m.s.shape.size() > 0)
      found.push_back({part.shape.size() / m.s.shape.size(), "how often it is broadcast"});
  const auto add = [&](const Shape& shape, const char* of) {
    for (int axis = 0; axis < shape.rank(); ++axis)
      found.push_back({shape[axis], fmt::format("the extent of axis {}{}", axis, of)});
    found.push_back({shape.size(), fmt::format("the number of elements{}", of)});
  };
  add(m.s.shape, "");
  if (all.result_shape != m.s.shape) add(all.result_shape, " of the result");
  std::erase_if(found, [](const Count& count) { return count.n < 2; });
  return found;
}

std::string count_hint(const std::vector<Count>& known, double n) {
  for (const Count& count : known)
    if (static_cast<double>(count.n) == n) return count.what;
  return "";
}

/// `2 numeric`, `-numeric / 7`.
std::string multiple(double factor) {
  const std::string sign = factor < 0 ? "-" : "";
  const double size = std::abs(factor), inverse = std::round(1 / size);
  if (std::abs(size - 1) < 1e-7) return sign + "numeric";
  if (size < 1 && inverse <= 10000 && std::abs(size * inverse - 1) < 1e-7)
    return fmt::format("{}numeric / {}", sign, inverse);
  return fmt::format("{}{:.9g} numeric", sign, size);
}

/// A value whose factor may be missing, one number for every element of the subject.
struct Value {
  std::string name, legend;
  std::vector<double> elements;
};

std::vector<Value> values(const GradientMatch& m, const CheckedGradients& all) {
  std::vector<Value> found;
  const auto add = [&](const std::string& name, const std::string& legend, const Shape& shape,
                       const std::vector<double>& elements) {
    Shape both;
    if (found.size() == 6 || !broadcast(shape, m.s.shape, both) || both != m.s.shape) return;
    if (static_cast<Index>(elements.size()) != shape.size()) return;
    Value value{name, legend, {}};
    for (Index i = 0; i < m.size(); ++i)
      value.elements.push_back(elements[pos(source_of(shape, m.s.shape, i))]);
    found.push_back(std::move(value));
  };
  add("x", "x is the value of @", m.s.shape, m.s.value);
  add("y", "y is the result", all.result_shape, all.result);
  for (const CheckedSubject& other : all.subjects)
    if (&other != &m.s) add("[" + other.name + "]", "", other.shape, other.value);
  return found;
}

/// A factor that the chain rule derives from a value, such as v^2 or 1 - v.
struct Form {
  const char* text;
  double (*of)(double);
};
constexpr Form forms[] = {
    {"{}", [](double v) { return v; }},
    {"{}^2", [](double v) { return v * v; }},
    {"(1 - {})", [](double v) { return 1 - v; }},
    {"(1 - {}^2)", [](double v) { return 1 - v * v; }},
    {"({} (1 - {}))", [](double v) { return v * (1 - v); }},
};

std::string named(const Form& form, const Value& value) {
  std::string text = form.text;
  for (std::size_t hole; (hole = text.find("{}")) != std::string::npos;) text.replace(hole, 2, value.name);
  return text;
}

/// ` (x is the value of @, y is the result)`.
std::string legend(const Value& one, const Value& two) {
  std::string both = one.legend;
  if (two.legend != one.legend) both += (both.empty() || two.legend.empty() ? "" : ", ") + two.legend;
  return both.empty() ? "" : fmt::format(" ({})", both);
}

/// The factor that explains the largest element, and the number of elements that support it.
struct Ratio {
  double factor = 0;
  Index support = 0;
};

Index support(const GradientMatch& m, double c) {
  return m.support([&](Index i) { return Prediction{c * m.n(i), std::abs(c)}; });
}

Ratio constant_ratio(const GradientMatch& m) {
  Index largest = -1;
  for (Index i = 0; i < m.size(); ++i)
    if (m.known(i) && (largest < 0 || std::abs(m.n(i)) > std::abs(m.n(largest)))) largest = i;
  if (largest < 0 || m.is_zero(m.n(largest)) || m.is_zero(m.a(largest))) return {};
  const double factor = m.a(largest) / m.n(largest);
  return {factor, support(m, factor)};
}

}  // namespace

std::string constant_multiple(const GradientMatch& m) {
  const Ratio ratio = constant_ratio(m);
  return ratio.support < 2 ? "" : "analytic = " + multiple(ratio.factor);
}

std::string constant_factor(const GradientMatch& m, const CheckedGradients& all) {
  const auto [ratio, telling] = constant_ratio(m);
  const auto support = [&](double c) { return diagnosis::support(m, c); };
  if (telling == 0) return "";
  if (telling == 1) {
    if (support(-1)) return "a wrong sign would fit for @, but only one element tells";
    if (support(2)) return "a factor 2 too much would fit for @, but only one element tells";
    if (support(0.5)) return "a lost factor 2 would fit for @, but only one element tells";
    return "";
  }
  const std::vector<Count> known = counts(m, all);
  const auto also = [&](const char* mistake) {
    const std::string what = count_hint(known, 2);
    return what.empty() ? "" : fmt::format(" ({}, if 2 is {})", mistake, what);
  };
  if (support(-1))
    return "wrong sign for @: analytic = -numeric, look for a lost or a spare minus in the pullback";
  if (support(2))
    return "factor 2 for @: analytic = 2 numeric, look for a part added twice or a lost 1/2 in the pullback" +
           also("or a sum where a mean belongs");
  if (support(0.5))
    return "factor 1/2 for @: analytic = numeric / 2, look for a lost factor 2 in the pullback" +
           also("or a mean where a sum belongs");
  for (const Count& count : known) {
    const double n = static_cast<double>(count.n), root = std::sqrt(n);
    for (const double sign : {1.0, -1.0}) {
      const char* minus = sign < 0 ? "-" : "";
      const char* and_sign = sign < 0 ? " and a lost or a spare minus" : "";
      if (n > 2 && support(sign * n))
        return fmt::format(
            "factor {0}{1} for @: analytic = {0}{1} numeric and {1} is {2}, look for a sum where "
            "a mean belongs{3} in the pullback",
            minus, count.n, count.what, and_sign);
      if (n > 2 && support(sign / n))
        return fmt::format(
            "factor {0}1/{1} for @: analytic = {0}numeric / {1} and {1} is {2}, look for a mean "
            "where a sum belongs{3} in the pullback",
            minus, count.n, count.what, and_sign);
      if (support(sign * root))
        return fmt::format(
            "factor {0}sqrt({1}) for @: analytic = {0}sqrt({1}) numeric and {1} is {2}, look for "
            "a lost 1/sqrt({1}){3} in the pullback",
            minus, count.n, count.what, and_sign);
      if (support(sign / root))
        return fmt::format(
            "factor {0}1/sqrt({1}) for @: analytic = {0}numeric / sqrt({1}) and {1} is {2}, look "
            "for a spare 1/sqrt({1}){3} in the pullback",
            minus, count.n, count.what, and_sign);
    }
  }
  if (std::abs(ratio - 1) < 1.2e-7)
    return fmt::format(
        "factor 1{:+.2g} for @: analytic = numeric but for that, look for a constant rounded to "
        "float in the pullback",
        ratio - 1);
  return fmt::format("constant factor for @: analytic = {}, look at the constants{} of the pullback",
                     multiple(ratio), ratio < 0 ? " and the sign" : "");
}

std::string wrong_factor(const GradientMatch& m, const CheckedGradients& all) {
  constexpr double none = std::numeric_limits<double>::infinity();  // agrees with nothing
  const std::vector<Value> known = values(m, all);
  const auto sign_hint = [](const std::string& equals) { return equals == " = -" ? " and the sign" : ""; };
  for (const Form& form : forms)
    for (const Value& value : known) {
      const auto g = [&](Index i) { return form.of(value.elements[pos(i)]); };
      const auto missing = [&](Index i) {
        if (g(i) == 0) return m.is_zero(m.n(i)) ? Prediction{} : Prediction{none};
        return Prediction{m.n(i) / g(i), 1 / std::abs(g(i))};
      };
      if (const std::string equals = m.fits_signed(missing); !equals.empty())
        return fmt::format(
            "a factor {0} is missing for @: analytic * {0}{1}numeric{2}, look at the chain rule{3} "
            "in the pullback",
            named(form, value), equals, legend(value, value), sign_hint(equals));
      const auto spare = [&](Index i) { return Prediction{m.n(i) * g(i), std::abs(g(i))}; };
      if (const std::string equals = m.fits_signed(spare); !equals.empty())
        return fmt::format(
            "a factor {0} too many for @: analytic{1}numeric * {0}{2}, look at the chain rule{3} in "
            "the pullback",
            named(form, value), equals, legend(value, value), sign_hint(equals));
    }
  for (const Form& form : forms)
    for (const Value& used : known)
      for (const Value& due : known) {
        if (&used == &due) continue;
        const auto mixed_up = [&](Index i) {
          const double over = form.of(used.elements[pos(i)]), under = form.of(due.elements[pos(i)]);
          if (under == 0) return m.is_zero(m.n(i)) ? Prediction{} : Prediction{none};
          return Prediction{m.n(i) * over / under, std::abs(over / under)};
        };
        if (const std::string equals = m.fits_signed(mixed_up); !equals.empty())
          return fmt::format(
              "{0} stands where {1} belongs for @: analytic{2}numeric * {0} / {1}{3}, look at the "
              "values{4} in the pullback",
              named(form, used), named(form, due), equals, legend(used, due), sign_hint(equals));
      }
  return "";
}

}  // namespace tapegrad::diagnosis
