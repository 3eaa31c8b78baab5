#include "init.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace tapegrad::nn {
namespace {

template <class F>
void fill(Tensor& values, F value_of) {
  dispatch(values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* data = values.data<T>();
    for (Index i = 0; i < values.size(); ++i)
      data[i] = static_cast<T>(value_of(static_cast<std::uint64_t>(i)));
  });
}

double fan_in(const Shape& weight) { return static_cast<double>(weight.cols()); }
double fan_out(const Shape& weight) { return static_cast<double>(weight.rows()); }

/// U(low, high) with bounds that follow from the shape; the report shows `formula`.
template <class Bounds>
Initializer uniform_rule(std::string formula, Bounds bounds) {
  return {[bounds](Tensor& values, RandomKey key) {
            const auto [low, high] = bounds(values.shape());
            fill(values, [low = low, high = high, key](std::uint64_t i) {
              return low + (high - low) * uniform01(key, i);
            });
          },
          [formula = std::move(formula), bounds](const Shape& shape) {
            const auto [low, high] = bounds(shape);
            return InitialRule{formula, (low + high) / 2, (high - low) / std::sqrt(12.0)};
          }};
}

/// N(mean, deviation²), the deviation a function of the shape.
template <class Deviation>
Initializer normal_rule(std::string formula, double mean, Deviation deviation) {
  return {[=](Tensor& values, RandomKey key) {
            fill(values, [mean, d = deviation(values.shape()), key](std::uint64_t i) {
              return mean + d * standard_normal(key, i);
            });
          },
          [formula = std::move(formula), mean, deviation](const Shape& shape) {
            return InitialRule{formula, mean, deviation(shape)};
          }};
}

std::string times(double gain) { return gain == 1 ? "" : fmt::format("{} ", gain); }

}  // namespace

void zeros(Tensor& values, RandomKey) { values.fill(0); }
void ones(Tensor& values, RandomKey) { values.fill(1); }

Initializer constant(double value) {
  return {[=](Tensor& values, RandomKey) { values.fill(value); },
          [=](const Shape&) {
            return InitialRule{fmt::format("{}", value), value, 0};
          }};
}

Initializer uniform(double low, double high) {
  return uniform_rule(fmt::format("U({:.4g}, {:.4g})", low, high),
                      [=](const Shape&) { return std::pair(low, high); });
}

Initializer normal(double mean, double deviation) {
  return normal_rule(fmt::format("N({:.4g}, {:.4g}²)", mean, deviation), mean,
                     [=](const Shape&) { return deviation; });
}

Initializer xavier_uniform(double gain) {
  return uniform_rule(fmt::format("U(±{}√(6 / (fan_in + fan_out)))", times(gain)), [=](const Shape& s) {
    const double bound = gain * std::sqrt(6 / (fan_in(s) + fan_out(s)));
    return std::pair(-bound, bound);
  });
}

Initializer xavier_normal(double gain) {
  return normal_rule(
      fmt::format("N(0, {}2 / (fan_in + fan_out))", gain == 1 ? "" : fmt::format("{}² ", gain)), 0,
      [=](const Shape& s) { return gain * std::sqrt(2 / (fan_in(s) + fan_out(s))); });
}

Initializer kaiming_uniform() {
  return uniform_rule("U(±√(6 / fan_in))", [](const Shape& s) {
    const double bound = std::sqrt(6 / fan_in(s));
    return std::pair(-bound, bound);
  });
}

Initializer kaiming_normal() {
  return normal_rule("N(0, 2 / fan_in)", 0, [](const Shape& s) { return std::sqrt(2 / fan_in(s)); });
}

Initializer fan_in_uniform(Index fan_in) {
  const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  return uniform_rule("U(±1 / √fan_in)", [=](const Shape&) { return std::pair(-bound, bound); });
}

Initializer with_zero_row(Initializer init, Index row) {
  const auto rule = [init](const Shape& shape) {
    InitialRule rest = init.rule(shape).value_or(InitialRule{"?", 0, std::nan("")});
    const double rows = static_cast<double>(shape.rows()), share = rows > 0 ? (rows - 1) / rows : 0;
    const double square = share * (rest.deviation * rest.deviation + rest.mean * rest.mean);
    rest.mean *= share;
    return InitialRule{rest.formula + ", a row of 0", rest.mean, std::sqrt(square - rest.mean * rest.mean)};
  };
  return {[init = std::move(init), row](Tensor& values, RandomKey key) {
            init(values, key);
            dispatch(values.dtype(), [&](auto zero) { values.matrix<decltype(zero)>().row(row).setZero(); });
          },
          rule};
}

}  // namespace tapegrad::nn
