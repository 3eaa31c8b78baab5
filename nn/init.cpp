#include <tapegrad/nn/init.h>

#include <cmath>

namespace tapegrad {
namespace {

/// Natural logarithm of x in (0, 1] by basic arithmetic only, so that it is the same with every C library:
/// x = m 2^e, ln m = 2 atanh((m - 1) / (m + 1)) with m in [√½, √2).
double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752440) {
    m *= 2;
    --exponent;
  }
  const double t = (m - 1) / (m + 1), square = t * t;
  double sum = 0;
  for (int k = 27; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * t * sum + exponent * 0.69314718055994530942;
}

double standard_normal(RandomKey key, std::uint64_t element) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double u = 2 * uniform01(random_key(key.value, attempt, 0, 0), element) - 1;
    const double v = 2 * uniform01(random_key(key.value, attempt, 1, 0), element) - 1;
    const double s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * portable_log(s) / s);
  }
}

template <class F>
void fill(Tensor& values, F value_of) {
  dispatch(values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* data = values.data<T>();
    for (Index i = 0; i < values.size(); ++i)
      data[i] = static_cast<T>(value_of(static_cast<std::uint64_t>(i)));
  });
}

double fan_in(const Tensor& weight) { return static_cast<double>(weight.shape().cols()); }
double fan_out(const Tensor& weight) { return static_cast<double>(weight.shape().rows()); }

void fill_uniform(Tensor& values, RandomKey key, double low, double high) {
  fill(values, [=](std::uint64_t i) { return low + (high - low) * uniform01(key, i); });
}

void fill_normal(Tensor& values, RandomKey key, double mean, double deviation) {
  fill(values, [=](std::uint64_t i) { return mean + deviation * standard_normal(key, i); });
}

}  // namespace

void zeros(Tensor& values, RandomKey) { values.fill(0); }
void ones(Tensor& values, RandomKey) { values.fill(1); }

Initializer constant(double value) {
  return [=](Tensor& values, RandomKey) { values.fill(value); };
}

Initializer uniform(double low, double high) {
  return [=](Tensor& values, RandomKey key) { fill_uniform(values, key, low, high); };
}

Initializer normal(double mean, double deviation) {
  return [=](Tensor& values, RandomKey key) { fill_normal(values, key, mean, deviation); };
}

Initializer xavier_uniform(double gain) {
  return [=](Tensor& values, RandomKey key) {
    const double bound = gain * std::sqrt(6 / (fan_in(values) + fan_out(values)));
    fill_uniform(values, key, -bound, bound);
  };
}

Initializer xavier_normal(double gain) {
  return [=](Tensor& values, RandomKey key) {
    fill_normal(values, key, 0, gain * std::sqrt(2 / (fan_in(values) + fan_out(values))));
  };
}

Initializer kaiming_uniform() {
  return [](Tensor& values, RandomKey key) {
    const double bound = std::sqrt(6 / fan_in(values));
    fill_uniform(values, key, -bound, bound);
  };
}

Initializer kaiming_normal() {
  return [](Tensor& values, RandomKey key) { fill_normal(values, key, 0, std::sqrt(2 / fan_in(values))); };
}

Initializer fan_in_uniform(Index fan_in) {
  const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  return uniform(-bound, bound);
}

Initializer with_zero_row(Initializer init, Index row) {
  return [init = std::move(init), row](Tensor& values, RandomKey key) {
    init(values, key);
    dispatch(values.dtype(), [&](auto zero) { values.matrix<decltype(zero)>().row(row).setZero(); });
  };
}

}  // namespace tapegrad
