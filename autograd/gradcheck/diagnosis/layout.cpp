// Gradients whose numbers are right but stand elsewhere, and sums that lack a part.
#include <bit>

#include "match.h"

namespace tapegrad::diagnosis {
namespace {

constexpr Index lies_outside = -1;

/// For every element, the source of the value that a mistake would have put there.
using Sources = std::vector<Index>;

std::string signed_match(const GradientMatch& m, const Sources& sources) {
  return m.fits_signed([&](Index i) { return m.numeric_at(sources[pos(i)]); });
}

template <class Move>
Sources moved(const Shape& shape, Move&& move) {
  Sources sources;
  for (Index i = 0; i < shape.size(); ++i) {
    Shape index = index_of(shape, i);
    sources.push_back(move(index) ? offset_of(shape, index) : lies_outside);
  }
  return sources;
}

/// Row-major elements of the array with two axes swapped, as numbers of elements of `shape`.
Sources swapped_axes(const Shape& shape, int one, int two) {
  Shape turned = shape;
  std::swap(turned[one], turned[two]);
  Sources sources;
  for (Index i = 0; i < shape.size(); ++i) {
    Shape index = index_of(turned, i);
    std::swap(index[one], index[two]);
    sources.push_back(offset_of(shape, index));
  }
  return sources;
}

Sources inverse(const Sources& sources) {
  Sources result(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) result[pos(sources[i])] = static_cast<Index>(i);
  return result;
}

std::string swapped(const GradientMatch& m) {
  const Shape& shape = m.s.shape;
  for (int two = shape.rank() - 1; two > 0; --two)
    for (int one = two - 1; one >= 0; --one) {
      if (shape[one] < 2 || shape[two] < 2) continue;
      const Sources there = swapped_axes(shape, one, two);
      for (const Sources& sources : {there, inverse(there)})
        if (const std::string equals = signed_match(m, sources); !equals.empty())
          return fmt::format(
              "transposed for @: analytic{}numeric with axes {} and {} swapped{}, look for a lost or "
              "a spare transpose{} in the pullback",
              equals, one, two, shape[one] == shape[two] ? "" : ", in the shape of before",
              equals == " = -" ? " and the sign" : "");
    }
  return "";
}

std::string shifted(const GradientMatch& m) {
  const Shape& shape = m.s.shape;
  const auto found = [&](const std::string& what, int axis, const std::string& equals) {
    return fmt::format("{} for @: analytic{}numeric {} along axis {}, look at the indices{} in the pullback",
                       what == "backwards" ? "reversed" : "shifted", equals, what, axis,
                       equals == " = -" ? " and the sign" : "");
  };
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const Index extent = shape[axis];
    if (extent < 2) continue;
    const auto reverse = [&](Shape& index) {
      index[axis] = extent - 1 - index[axis];
      return true;
    };
    if (const auto equals = signed_match(m, moved(shape, reverse)); !equals.empty())
      return found("backwards", axis, equals);
    for (Index by = 1 - extent; by < extent; ++by) {
      if (by == 0) continue;
      const auto straight = [&](Shape& index) {
        index[axis] -= by;
        return index[axis] >= 0 && index[axis] < extent;
      };
      if (const auto equals = signed_match(m, moved(shape, straight)); !equals.empty())
        return found(fmt::format("moved by {}", by), axis, equals);
      const auto around = [&](Shape& index) {
        index[axis] = (index[axis] - by + extent) % extent;
        return true;
      };
      if (2 * by > -extent && 2 * by <= extent)
        if (const auto equals = signed_match(m, moved(shape, around)); !equals.empty())
          return found(fmt::format("moved by {} around the end", by), axis, equals);
    }
  }
  return "";
}

std::string smeared(const GradientMatch& m) {
  const Shape& shape = m.s.shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] < 2) continue;
    const auto total = [&](Index i) {
      Shape index = index_of(shape, i);
      Prediction sum{0, static_cast<double>(shape[axis])};
      for (index[axis] = 0; index[axis] < shape[axis]; ++index[axis])
        sum.value += m.numeric_at(offset_of(shape, index)).value;
      return sum;
    };
    if (const std::string equals = m.fits_signed(total); !equals.empty())
      return fmt::format(
          "smeared for @: analytic{}numeric summed along axis {}, look for a spare sum in the "
          "pullback",
          equals, axis);
    const auto mean = [&](Index i) { return Prediction{total(i).value / static_cast<double>(shape[axis])}; };
    if (const std::string equals = m.fits_signed(mean); !equals.empty())
      return fmt::format(
          "smeared for @: analytic{}the mean of numeric along axis {}, look for a spare mean in the "
          "pullback",
          equals, axis);
  }
  return "";
}

/// The sum of one use's gradient for every element of the subject, over the elements of the broadcast value
/// for which `keep` holds.
template <class Keep>
std::vector<double> summed(const GradientMatch& m, const GradientPart& part, Keep&& keep) {
  std::vector<double> sum(m.s.analytic.size());
  for (Index i = 0; i < part.shape.size(); ++i)
    if (keep(index_of(part.shape, i))) sum[pos(source_of(m.s.shape, part.shape, i))] += part.numeric[pos(i)];
  return sum;
}

constexpr auto everything = [](const Shape&) { return true; };

/// The parts, added up where they are broadcast; empty unless together they are the numeric gradient.
std::vector<std::vector<double>> whole_parts(const GradientMatch& m) {
  std::vector<std::vector<double>> sums;
  for (const GradientPart& part : m.s.parts) sums.push_back(summed(m, part, everything));
  for (Index i = 0; i < m.size(); ++i) {
    double total = 0;
    for (const auto& sum : sums) total += sum[pos(i)];
    if (m.known(i) && !m.near(total, {m.n(i), 100})) return {};
  }
  return sums;
}

}  // namespace

std::string lost_part(const GradientMatch& m) {
  const auto sums = whole_parts(m);
  const std::size_t uses = sums.size();
  if (uses < 2 || uses > 10) return "";
  const auto weighted = [&](auto&& weight) {
    return m.fits([&](Index i) {
      Prediction p{0, 1};
      for (std::size_t u = 0; u < uses; ++u) p.value += weight(u) * sums[u][pos(i)];
      return p;
    });
  };
  const auto& parts = m.s.parts;
  for (std::size_t few = 1; few < uses; ++few) {
    std::vector<std::string> had, lost;  // equal parts leave a choice
    for (unsigned kept = 1; kept + 1 < 1U << uses && had.size() + lost.size() < 4; ++kept) {
      const auto in = [&](std::size_t u) { return (kept >> u & 1U) != 0; };
      const auto count = static_cast<std::size_t>(std::popcount(kept));
      if (std::min(count, uses - count) != few || !weighted([&](std::size_t u) { return in(u) ? 1.0 : 0.0; }))
        continue;
      const bool say_kept = count <= uses - count;
      std::string names;
      for (std::size_t u = 0; u < uses; ++u)
        if (in(u) == say_kept) names += (names.empty() ? "" : " and ") + parts[u].through;
      (say_kept ? had : lost).push_back(names);
    }
    std::vector<std::string> said;
    if (!had.empty()) said.push_back(fmt::format("has only what comes through {}", fmt::join(had, " or ")));
    if (!lost.empty()) said.push_back(fmt::format("lacks what comes through {}", fmt::join(lost, " or ")));
    if (!said.empty())
      return fmt::format(
          "a part is lost for @: it is used {} times and analytic {}, look for = where "
          "+= belongs or a use without a gradient",
          uses, fmt::join(said, ", or it "));
  }
  for (const double factor : {-1.0, 2.0, 0.5}) {
    std::vector<std::string> wrong;
    for (std::size_t one = 0; one < uses; ++one)
      if (weighted([&](std::size_t u) { return u == one ? factor : 1.0; }))
        wrong.push_back(parts[one].through);
    if (!wrong.empty())
      return fmt::format(
          "a wrong part for @: it is used {} times and what comes through {} has the factor {}, "
          "look at that in the pullback",
          uses, fmt::join(wrong, " or "), factor);
  }
  return "";
}

std::string lost_sum(const GradientMatch& m) {
  const auto sums = whole_parts(m);
  for (std::size_t u = 0; u < sums.size(); ++u) {
    const GradientPart& part = m.s.parts[u];
    std::vector<int> repeated;  // the axes of the wide shape that are broadcast
    for (int axis = 0; axis < part.shape.rank(); ++axis) {
      const int own = axis - part.shape.rank() + m.s.shape.rank();
      if (part.shape[axis] > 1 && (own < 0 || m.s.shape[own] == 1)) repeated.push_back(axis);
    }
    for (const Slice& slice : slices(part.shape, repeated)) {
      const auto kept = summed(m, part, [&](const Shape& i) { return slice.has(i); });
      const auto predicted = [&](Index i) {
        Prediction p{kept[pos(i)], 1};
        for (std::size_t v = 0; v < sums.size(); ++v)
          if (v != u) p.value += sums[v][pos(i)];
        return p;
      };
      if (m.fits(predicted))
        return fmt::format(
            "a broadcast is not summed for @: {} is broadcast from {} to {} and analytic has only "
            "{}, look for a lost sum_to, or = where += belongs",
            part.through, m.s.shape, part.shape, slice.text());
    }
  }
  return "";
}

std::string wrong_layout(const GradientMatch& m) {
  if (2 * m.compared < m.size()) return "";  // too few elements were compared
  for (const auto mistake : {swapped, shifted, smeared})
    if (std::string found = mistake(m); !found.empty()) return found;
  return "";
}

}  // namespace tapegrad::diagnosis
