#include "diagnosis.h"

#include "match.h"

namespace tapegrad {
namespace diagnosis {
namespace {

/// Some of the compared elements.
struct Where {
  const GradientMatch& m;
  std::vector<Index> elements = {};

  /// `row 1` when these are the compared elements at one index of an axis, and more than one; otherwise
  /// empty.
  std::string slice() const {
    const Shape& shape = m.s.shape;
    for (int axis = 0; shape.rank() > 1 && axis < shape.rank(); ++axis) {
      const Index index = index_of(shape, elements.front())[axis];
      std::vector<Index> there;
      for (Index i = 0; i < m.size(); ++i)
        if (m.known(i) && index_of(shape, i)[axis] == index) there.push_back(i);
      if (there.size() < 2 || there != elements) continue;
      return shape.rank() == 2 ? fmt::format("{} {}", axis == 0 ? "row" : "column", index)
                               : fmt::format("index {} of axis {}", index, axis);
    }
    return "";
  }

  /// `2 of 6, first [0, 1]` or `3 of 6, all of row 1`.
  std::string text() const {
    const std::string whole = slice();
    return fmt::format(
        "{} of {}, {}", elements.size(), m.compared,
        whole.empty() ? fmt::format("first {}", index_of(m.s.shape, elements.front())) : "all of " + whole);
  }
};

template <class Which>
Where where(const GradientMatch& m, Which&& which) {
  Where found{m};
  for (Index i = 0; i < m.size(); ++i)
    if (m.known(i) && which(i)) found.elements.push_back(i);
  return found;
}

const char* special(double value) { return std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf"; }

std::string not_finite(const GradientMatch& m) {
  const Where function = where(m, [&](Index i) { return !std::isfinite(m.n(i)); });
  if (!function.elements.empty())
    return fmt::format("the function is not finite near @: numeric is {} ({}), check well inside its domain",
                       special(m.n(function.elements.front())), function.text());
  const Where gradient = where(m, [&](Index i) { return !std::isfinite(m.a(i)); });
  if (gradient.elements.empty()) return "";
  return fmt::format(
      "not finite for @: analytic is {} ({}), look for a division by 0 or the edge of a domain in the "
      "pullback",
      special(m.a(gradient.elements.front())), gradient.text());
}

std::string nothing_arrived(const GradientMatch& m) {
  const auto analytic = where(m, [&](Index i) { return m.a(i) != 0; }).elements;
  if (analytic.empty())
    return "no gradient arrives for @: analytic is 0 everywhere, look for an empty Var or a detach in the "
           "pullback";
  if (where(m, [&](Index i) { return !m.is_zero(m.n(i)); }).elements.empty())
    return "a gradient arrives for @ though the function does not depend on it: "
           "numeric is 0 everywhere, look at which input the pullback means";
  return "";
}

std::string ignored_cotangent(const GradientMatch& m) {
  if (m.s.numeric_of_ones.empty()) return "";
  if (!m.fits([&](Index i) { return Prediction{m.s.numeric_of_ones[pos(i)]}; })) return "";
  return "the cotangent is ignored for @: analytic is the gradient for a cotangent of ones, "
         "look for a lost factor p.cotangents[0] in the pullback";
}

std::string gradient_of_another(const GradientMatch& m, const CheckedGradients& all) {
  for (const CheckedSubject& other : all.subjects) {
    if (&other == &m.s || other.shape != m.s.shape || other.numeric.empty()) continue;
    const std::string equals = m.fits_signed(
        [&](Index i) { return other.compared[pos(i)] ? Prediction{other.numeric[pos(i)]} : Prediction{}; });
    if (!equals.empty())
      return fmt::format(
          "the wrong input's gradient for @: analytic{}numeric of {}, look at the order{} of what the "
          "pullback returns",
          equals, other.name, equals == " = -" ? " and the sign" : "");
  }
  return "";
}

std::string inverted_mask(const GradientMatch& m) {
  const auto zero_analytic = where(m, [&](Index i) { return m.a(i) == 0; });
  const auto zero_numeric = where(m, [&](Index i) { return m.is_zero(m.n(i)); });
  const auto one_of_both = where(m, [&](Index i) { return (m.a(i) == 0) != m.is_zero(m.n(i)); });
  if (zero_analytic.elements.size() < 2 || zero_numeric.elements.size() < 2 ||
      static_cast<Index>(one_of_both.elements.size()) != m.compared)
    return "";
  return fmt::format(
      "a mask is the wrong way round for @: analytic is 0 where numeric is not ({}) and only there, look at "
      "the condition of where() or the mask in the pullback",
      zero_analytic.text());
}

std::string wrong_mask(const GradientMatch& m) {
  if (std::string found = inverted_mask(m); !found.empty()) return found;
  const auto right = where(m, [&](Index i) { return !m.is_wrong(i) && !m.is_zero(m.n(i)); }).elements;
  const Where wrong = where(m, [&](Index i) { return m.is_wrong(i); });
  const auto all_wrong = [&](auto&& which) {
    return std::all_of(wrong.elements.begin(), wrong.elements.end(), which);
  };
  if (right.empty()) return "";
  if (all_wrong([&](Index i) { return m.is_zero(m.n(i)); }))
    return fmt::format(
        "a mask is missing for @: where numeric is 0, analytic is not ({}), the others are right, look "
        "for a lost where() or mask in the pullback",
        wrong.text());
  if (all_wrong([&](Index i) { return m.a(i) == 0; }))
    return fmt::format(
        "a mask hides too much for @: analytic is 0 where numeric is not ({}), the others are right, "
        "look at where() and the bounds of loops in the pullback",
        wrong.text());
  return "";
}

std::string float_precision(const GradientMatch& m) {
  double largest = 0, error = 0;
  for (Index i = 0; i < m.size(); ++i) {
    if (!m.known(i)) continue;
    largest = std::max(largest, std::abs(m.n(i)));
    error = std::max(error, std::abs(m.a(i) - m.n(i)));
  }
  if (m.wrong < 2 || error < 1e-9 * largest || error > 5e-7 * largest) return "";
  return fmt::format(
      "float precision for @: analytic and numeric agree to {:.0e} only, look for a float on the way",
      error / largest);
}

std::string some_wrong(const GradientMatch& m, const CheckedGradients& all) {
  const Where wrong = where(m, [&](Index i) { return m.is_wrong(i); });
  const auto right = where(m, [&](Index i) { return !m.is_wrong(i) && !m.is_zero(m.n(i)); }).elements;
  if (right.empty() || (wrong.slice().empty() && 2 * m.wrong > m.compared)) return "";
  CheckedSubject there = m.s;
  for (Index i = 0; i < m.size(); ++i) there.compared[pos(i)] = m.is_wrong(i);
  const std::string factor = constant_multiple(GradientMatch(all, there));
  return fmt::format(
      "only some elements are wrong for @: {}{}, look at the indices and branches of the pullback",
      wrong.text(), factor.empty() ? "" : ", there " + factor);
}

std::string use_or_factor(const GradientMatch& m, const CheckedGradients& all) {
  const std::string factor = constant_factor(m, all), part = lost_part(m);
  return part.empty() || factor.empty() ? part + factor : part + "; or " + factor;
}

std::string mistake_of(const GradientMatch& m, const CheckedGradients& all) {
  std::string found;
  const auto take = [&](std::string&& text) {
    found = std::move(text);
    return !found.empty();
  };
  take(not_finite(m)) || take(nothing_arrived(m)) || take(ignored_cotangent(m)) ||
      take(use_or_factor(m, all)) || take(lost_sum(m)) || take(lost_index(m, all)) ||
      take(gradient_of_another(m, all)) || take(wrong_layout(m)) || take(transposed_factor(m, all)) ||
      take(part_of_jacobian(m, all)) || take(wrong_factor(m, all)) || take(wrong_mask(m)) ||
      take(float_precision(m)) || take(some_wrong(m, all));
  return found;
}

std::string swapped(const GradientMatch& one, const GradientMatch& two) {
  if (one.s.shape != two.s.shape || one.size() + two.size() < 2) return "";
  for (const double sign : {1.0, -1.0}) {
    const auto of = [sign](const GradientMatch& other) {
      return
          [&other, sign](Index i) { return other.known(i) ? Prediction{sign * other.n(i)} : Prediction{}; };
    };
    const Index first = one.support(of(two)), second = two.support(of(one));
    if (first == 0 || second == 0 || first + second < 2) continue;
    const auto negated = [](const GradientMatch& m) {
      return m.support([&](Index i) { return Prediction{-m.n(i)}; }) > 0;
    };
    if (negated(one) && negated(two))  // one's gradient is minus the other's
      return fmt::format(
          "the gradients of {} and {} are swapped, or both have the wrong sign: look at the order of "
          "what the pullback returns",
          one.s.name, two.s.name);
    return fmt::format(
        "the gradients of {} and {} are swapped{}: look at the order{} of what the pullback returns",
        one.s.name, two.s.name, sign < 0 ? " and have the wrong sign" : "", sign < 0 ? " and the signs" : "");
  }
  return "";
}

/// Findings and the subjects that each holds for, in order of appearance.
class Report {
 public:
  void add(const std::string& finding, const std::string& name) {
    if (finding.empty()) return;
    for (auto& [text, names] : entries_)
      if (text == finding) return names.push_back(name);
    entries_.push_back({finding, {name}});
  }

  std::string text() const {
    std::string result;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::string line = entries_[i].first;
      const std::string names = listed(entries_[i].second);
      for (std::size_t hole = 0; (hole = line.find('@', hole)) != std::string::npos; hole += names.size())
        line.replace(hole, 1, names);
      if (i == most) return result + fmt::format("; and {} more", entries_.size() - most);
      result += (i == 0 ? "" : "; ") + line;
    }
    return result;
  }

 private:
  static constexpr std::size_t most = 4;
  std::vector<std::pair<std::string, std::vector<std::string>>> entries_;
};

/// The first element that differs, or -1; a NaN is equal to a NaN.
Index first_change(const std::vector<double>& once, const std::vector<double>& again) {
  for (std::size_t i = 0; i < std::min(once.size(), again.size()); ++i)
    if (once[i] != again[i] && !(std::isnan(once[i]) && std::isnan(again[i]))) return static_cast<Index>(i);
  return -1;
}

std::string nothing_to_compare(const CheckedGradients& all) {
  if (const Index i = first_change(all.result, all.result_again); i >= 0)
    return fmt::format(
        "the function changes when evaluated again: element {} of the result is {:.9g}, then {:.9g}; look "
        "for randomness that is not a draw of the tape, or for state",
        index_of(all.result_shape, i), all.result[pos(i)], all.result_again[pos(i)]);
  for (std::size_t i = 0; i < all.result.size(); ++i)
    if (!std::isfinite(all.result[i]))
      return fmt::format(
          "the function is not finite: element {} of the result is {}, check inside its domain",
          index_of(all.result_shape, static_cast<Index>(i)), special(all.result[i]));
  for (const CheckedSubject& s : all.subjects)
    if (const Index i = first_change(s.analytic, s.analytic_again); i >= 0)
      return fmt::format(
          "the gradient changes when evaluated again: element {} of {} is {:.9g}, then {:.9g}; look for "
          "randomness, state or memory that is not written in the pullback",
          index_of(s.shape, i), s.name, s.analytic[pos(i)], s.analytic_again[pos(i)]);
  return "";
}

}  // namespace
}  // namespace diagnosis

std::string diagnose(const CheckedGradients& gradients) {
  using namespace diagnosis;
  if (std::string found = nothing_to_compare(gradients); !found.empty()) return found;
  std::vector<GradientMatch> failing;
  for (const CheckedSubject& subject : gradients.subjects)
    if (GradientMatch m(gradients, subject); m.wrong > 0) failing.push_back(m);
  Report report;
  std::vector<bool> done(failing.size());
  for (std::size_t i = 0; i < failing.size(); ++i) {
    for (std::size_t j = i + 1; j < failing.size() && !done[i]; ++j)
      if (std::string found = done[j] ? "" : swapped(failing[i], failing[j]); !found.empty()) {
        report.add(found, "");
        done[i] = done[j] = true;
      }
    if (!done[i]) report.add(mistake_of(failing[i], gradients), failing[i].s.name);
  }
  return report.text();
}

}  // namespace tapegrad
