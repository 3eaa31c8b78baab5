#include "numerical_gradient.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "replay.h"

namespace tapegrad {
namespace {

/// The loss as a function of one element of x.
class Line {
 public:
  Line(const Var& loss, const Var& x)
      : loss_(loss), x_(x), replay_(loss.tape("numerical_gradient"), DType::f64) {
    expects(loss.size() == 1, "numerical_gradient: the loss must have one element, got shape {}",
            loss.shape());
    base_ = replay_[x].clone();
    at_base_ = replay_[loss].item();
  }
  double base(Index element) const { return base_.data<double>()[element]; }
  double at_base() const { return at_base_; }
  double at(Index element, double value) {
    replay_.set(x_, element, value);
    replay_.run(loss_);
    return replay_[loss_].item();
  }
  void restore(Index element) { replay_.set(x_, element, base(element)); }

 private:
  Var loss_, x_;
  Replay replay_;
  Tensor base_;
  double at_base_;
};

struct Derivative {
  double value;
  bool kink;
};

Derivative derivative(Line& line, Index element, double step) {
  const double x = line.base(element), middle = line.at_base();
  const double h = (x + step) - x;  // x + h is then exact
  const double right = line.at(element, x + h), left = line.at(element, x - h);
  const double far_right = line.at(element, x + 2 * h), far_left = line.at(element, x - 2 * h);
  const double near = (right - left) / (2 * h), far = (far_right - far_left) / (4 * h);
  // Near a kink the two estimates differ; exactly on it, the jump of the slope does not shrink with h.
  const double bend = (right - 2 * middle + left) / h,
               far_bend = (far_right - 2 * middle + far_left) / (2 * h);
  const double noise = 64 * std::numeric_limits<double>::epsilon() * std::abs(middle) / h;
  const double allowed = std::max(1e-5 * std::max(std::abs(near), 1e-3), noise);
  const bool smooth = std::abs(near - far) <= allowed && std::abs(far_bend - 2 * bend) <= 2 * allowed;
  return {(4 * near - far) / 3, !smooth};  // the stencil of the header
}

}  // namespace

NumericalGradient numerical_gradient(const Var& loss, const Var& x, std::span<const Index> elements) {
  Line line(loss, x);
  NumericalGradient result;
  for (const Index element : elements) {
    expects(element >= 0 && element < x.size(), "numerical_gradient: element {} of a value of shape {}",
            element, x.shape());
    const double scale = std::max(1.0, std::abs(line.base(element)));
    Derivative found{0, true};
    for (const double step : {1e-4, 1e-5, 1e-6})
      if (found.kink) found = derivative(line, element, step * scale);
    line.restore(element);
    result.values.push_back(found.value);
    result.kink.push_back(found.kink);
  }
  return result;
}

Tensor numerical_gradient(const Var& loss, const Var& x) {
  std::vector<Index> all(static_cast<std::size_t>(x.size()));
  std::iota(all.begin(), all.end(), Index{0});
  return Tensor::from(numerical_gradient(loss, x, all).values, x.shape(), DType::f64);
}

}  // namespace tapegrad
