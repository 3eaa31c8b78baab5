#include "random.h"

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

}  // namespace

double standard_normal(RandomKey key, std::uint64_t element) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double u = 2 * uniform01(random_key(key.value, attempt, 0, 0), element) - 1;
    const double v = 2 * uniform01(random_key(key.value, attempt, 1, 0), element) - 1;
    const double s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * portable_log(s) / s);
  }
}

}  // namespace tapegrad
