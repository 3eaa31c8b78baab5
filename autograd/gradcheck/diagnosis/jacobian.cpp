// Gradients that miss a part of the result, or are made with something transposed.
#include <numeric>

#include "match.h"

namespace tapegrad::diagnosis {
namespace {

/// The gradient of element `i` for any cotangent.
Prediction gradient(const NumericJacobian& jacobian, Index i, const std::vector<double>& cotangent) {
  const std::vector<double>& derivatives = jacobian.derivatives[pos(i)];
  if (derivatives.empty()) return {};
  return {std::inner_product(derivatives.begin(), derivatives.end(), cotangent.begin(), 0.0)};
}

/// True when the Jacobian is known and at least two wrong elements are not 0; wrong zeros may come from a
/// mask.
bool may_tell(const GradientMatch& m, const CheckedGradients& all) {
  return !m.s.jacobians.empty() && all.cotangent.size() == pos(all.result_shape.size()) &&
         m.wrong_not_zero >= 2;
}

/// Finds a loop over the result that assigns (`=`) contributions instead of adding them (`+=`).
std::string overwritten(const GradientMatch& m, const CheckedGradients& all) {
  const auto last = [&](Index i) {
    const std::vector<double>& derivatives = m.s.jacobians.front().derivatives[pos(i)];
    if (derivatives.empty()) return Prediction{};
    for (std::size_t j = derivatives.size(); j-- > 0;)
      if (derivatives[j] != 0) return Prediction{derivatives[j] * all.cotangent[j]};
    return Prediction{0};
  };
  if (!m.fits(last)) return "";
  return "a sum over the result is lost for @: analytic has only what comes through the last element of the "
         "result that each element reaches, look for = where += belongs in the pullback";
}

/// True when numeric = y (dy - sum(y dy)) along some axis and analytic = y dy.
bool lacks_the_sum_of_softmax(const GradientMatch& m, const CheckedGradients& all) {
  const auto first_term = [&](Index i) { return Prediction{all.result[pos(i)] * all.cotangent[pos(i)]}; };
  if (all.result.size() != all.cotangent.size() || !m.fits(first_term)) return false;
  for (int axis = 0; axis < m.s.shape.rank(); ++axis) {
    bool fits = true;
    for (Index i = 0; i < m.size() && fits; ++i) {
      Shape index = index_of(m.s.shape, i);
      double sum = 0;
      for (index[axis] = 0; index[axis] < m.s.shape[axis]; ++index[axis])
        sum += first_term(offset_of(m.s.shape, index)).value;
      fits = !m.known(i) || m.near(m.n(i), {first_term(i).value - all.result[pos(i)] * sum});
    }
    if (fits) return true;
  }
  return false;
}

}  // namespace

std::string Slice::text() const {
  std::vector<std::string> each;
  for (const int axis : axes) each.push_back(fmt::format("index {} of axis {}", index[axis], axis));
  return fmt::format("{}", fmt::join(each, " and "));
}

std::vector<Slice> slices(const Shape& shape, const std::vector<int>& axes) {
  std::vector<Slice> found;
  for (unsigned fixed = 1; fixed < 1U << axes.size(); ++fixed) {
    Slice slice{shape, {}};
    Index choices = 1;
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (fixed >> a & 1U) {
        slice.axes.push_back(axes[a]);
        choices *= shape[axes[a]];
      }
    for (Index choice = 0; choice < std::min<Index>(choices, 256); ++choice) {
      Index rest = choice;
      for (const int axis : slice.axes) {
        slice.index[axis] = rest % shape[axis];
        rest /= shape[axis];
      }
      found.push_back(slice);
    }
  }
  return found;
}

std::string lost_index(const GradientMatch& m, const CheckedGradients& all) {
  if (!may_tell(m, all)) return "";
  const Shape& result = all.result_shape;
  std::vector<int> axes;
  for (int axis = 0; axis < result.rank(); ++axis)
    if (result[axis] > 1) axes.push_back(axis);
  const NumericJacobian& jacobian = m.s.jacobians.front();
  std::vector<Shape> indices;
  for (Index j = 0; j < result.size(); ++j) indices.push_back(index_of(result, j));
  for (const Slice& slice : slices(result, axes)) {
    std::vector<double> within = all.cotangent, without = all.cotangent;
    for (std::size_t j = 0; j < indices.size(); ++j) (slice.has(indices[j]) ? without : within)[j] = 0;
    if (m.fits([&](Index i) { return gradient(jacobian, i, within); }))
      return fmt::format(
          "a sum over {} {} of the result is lost for @: analytic has only what comes through {}, look for = "
          "where += belongs, or a lost sum in the pullback",
          slice.axes.size() == 1 ? "axis" : "axes", fmt::join(slice.axes, " and "), slice.text());
    if (slice.axes.size() == 1 && result[slice.axes[0]] > 2 &&
        m.fits([&](Index i) { return gradient(jacobian, i, without); }))
      return fmt::format(
          "a sum over axis {} of the result is not whole for @: analytic lacks what comes through {}, look "
          "at the bounds of loops in the pullback",
          slice.axes[0], slice.text());
  }
  return overwritten(m, all);
}

std::string transposed_factor(const GradientMatch& m, const CheckedGradients& all) {
  if (!may_tell(m, all)) return "";
  std::vector<double> turned_cotangent = all.cotangent;
  const bool square_result = is_square(all.result_shape), square = is_square(m.s.shape);
  if (square_result)
    for (Index j = 0; j < all.result_shape.size(); ++j)
      turned_cotangent[pos(j)] = all.cotangent[pos(transposed(all.result_shape, j))];
  for (std::size_t few = 1; few <= 3; ++few)
    for (const NumericJacobian& jacobian : m.s.jacobians)
      for (const bool cotangent : {false, true})
        for (const bool gradient_too : {false, true}) {
          std::vector<std::string> what;
          if (!jacobian.transposed.empty()) what.push_back(jacobian.transposed);
          if (cotangent) what.push_back("the cotangent");
          if (gradient_too) what.push_back("the gradient itself");
          if (what.size() != few || (cotangent && !square_result) || (gradient_too && !square)) continue;
          const std::string equals = m.fits_signed([&](Index i) {
            return gradient(jacobian, gradient_too ? transposed(m.s.shape, i) : i,
                            cotangent ? turned_cotangent : all.cotangent);
          });
          if (!equals.empty())
            return fmt::format(
                "a factor is transposed for @: analytic{}numeric with {} transposed, look for a lost or a "
                "spare transpose{}{} in the pullback",
                equals, listed(what), cotangent && gradient_too ? ", the order of a product" : "",
                equals == " = -" ? " and the sign" : "");
        }
  return "";
}

std::string part_of_jacobian(const GradientMatch& m, const CheckedGradients& all) {
  if (!may_tell(m, all) || all.result_shape != m.s.shape) return "";
  const auto diagonal = [&](Index i) {
    const std::vector<double>& derivatives = m.s.jacobians.front().derivatives[pos(i)];
    return derivatives.empty() ? Prediction{} : Prediction{derivatives[pos(i)] * all.cotangent[pos(i)]};
  };
  if (m.fits(diagonal))
    return "only the diagonal of the Jacobian for @: analytic has of every element of the result what comes "
           "from the same element alone, look for a lost sum in the pullback";
  if (lacks_the_sum_of_softmax(m, all))
    return "the sum of a softmax is lost for @: analytic = y dy and numeric = y (dy - sum(y dy)) (y is the "
           "result), look for a lost term in the pullback";
  const auto others = [&](Index i) { return Prediction{m.n(i) - diagonal(i).value}; };
  if (m.fits(others))
    return "the diagonal of the Jacobian is lost for @: analytic lacks what comes to every element of the "
           "result from the same element, look for a lost term in the pullback";
  return "";
}

}  // namespace tapegrad::diagnosis
