#include "positional.h"

#include <cmath>

namespace tapegrad::nn {
namespace {

Parameter make_table(const Scope& scope, Index length, Index width) {
  auto data = std::make_shared<ParameterData>();
  data->path = (scope / "table").path();
  data->value = sinusoidal_positions(length, width).to(scope.store().dtype());
  data->buffer = true;
  return Parameter(std::move(data));
}

}  // namespace

Tensor sinusoidal_positions(Index length, Index width) {
  Tensor table({length, width}, DType::f64);
  for (Index t = 0; t < length; ++t)
    for (Index i = 0; i < width; ++i) {
      const double angle =
          static_cast<double>(t) *
          std::exp(-std::log(10000.0) * static_cast<double>(i / 2 * 2) / static_cast<double>(width));
      table.matrix<double>()(t, i) = i % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  return table;
}

SinusoidalPositions::SinusoidalPositions(const Scope& scope, Index max_length, Index width)
    : Layer(scope), table(make_table(scope, max_length, width)) {}

Var SinusoidalPositions::forward(const Var& x, Index first) const { return add_positions(x, table, first); }

void sinusoidal(Tensor& table, RandomKey) {
  convert(sinusoidal_positions(table.shape()[0], table.shape()[1]).view(), table.view());
}

LearnedPositions::LearnedPositions(const Scope& scope, Index max_length, Index width, const Initializer& init)
    : Layer(scope), weight(scope.parameter("weight", {max_length, width}, init)) {}

Var LearnedPositions::forward(const Var& x, Index first) const { return add_positions(x, weight, first); }

}  // namespace tapegrad::nn
