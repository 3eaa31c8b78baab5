#include "tap_values.h"

#include <algorithm>

namespace tapegrad {
namespace {

/// A copy of x; heads side by side in [batch, time, heads · dim], or without batch, become [batch, heads,
/// time, dim].
Tensor per_head(const Tensor& x, std::optional<Index> side_by_side) {
  if (!side_by_side) return x.clone();
  const Index heads = *side_by_side;
  const Shape& s = x.shape();
  const Index batch = s.rank() == 3 ? s[0] : 1, time = s[-2], dim = s[-1] / heads;
  Tensor result({batch, heads, time, dim}, x.dtype());
  dispatch(x.dtype(), [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = result.data<T>();
    for (Index b = 0; b < batch; ++b)
      for (Index t = 0; t < time; ++t)
        for (Index h = 0; h < heads; ++h, from += dim)
          std::copy_n(from, dim, to + ((b * heads + h) * time + t) * dim);
  });
  return result;
}

}  // namespace

std::vector<TapValue> tap_values(Tape& tape, const Gradients& gradients) {
  gradients.parameters("tap_values");  // throws when they are stale, also where nothing was tapped
  std::vector<TapValue> values;
  for (const Tap& tap : tape.observers().collected())
    values.push_back({tap.name, per_head(tap.value.value(), tap.heads),
                      gradients.contains(tap.value) ? per_head(gradients[tap.value], tap.heads) : Tensor()});
  return values;
}

}  // namespace tapegrad
