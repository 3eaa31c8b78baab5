/// Internal: dropout of a run of elements.
#pragma once

#include "dropout.h"
#include "simd/rows.h"

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
struct Dropout {
  std::uint64_t keys;
  std::uint32_t threshold;  // an element is kept when its bits are at least this
  bool none;                // p = 1
  T factor;

  TAPEGRAD_INLINE Dropout(double p, RandomKey key)
      : keys(splitmix64(key.value)),
        threshold(static_cast<std::uint32_t>(dropout_threshold(p))),
        none(p >= 1),
        factor(none ? T{0} : static_cast<T>(1 / (1 - p))) {}

  /// Calls visit(mask, i, factor or 0) for every vector of n elements; element `first + i` of the dropout
  /// stream decides. Draws as random_bits does, with the high word of the element hoisted out of the loop.
  template <class Visit>
  TAPEGRAD_INLINE void for_each(Index n, std::uint64_t first, Visit visit) const {
    for (Index begin = 0; begin < n;) {
      const std::uint64_t element = first + static_cast<std::uint64_t>(begin);
      const auto low = static_cast<std::uint32_t>(element);
      const auto high = static_cast<std::uint32_t>(element >> 32);
      const std::uint32_t high_key = key_of(high);
      const std::uint32_t start = low + static_cast<std::uint32_t>(keys);
      const Index run = min_of<Index>(n - begin, Index{0x100000000} - low);
      for_each_vector<T>(
          run, [&](auto mask, Index i) __attribute__((always_inline)) {
            visit(mask, begin + i, factors(start + static_cast<std::uint32_t>(i), high_key));
          });
      begin += run;
    }
  }

  /// The factors of elements `first`, `first` + 1, …, one vector of them.
  TAPEGRAD_INLINE Vector<T> at(std::uint64_t first) const {
    const auto low = static_cast<std::uint32_t>(first);
    const auto high = static_cast<std::uint32_t>(first >> 32);
    const std::uint32_t start = low + static_cast<std::uint32_t>(keys);
    Vector<T> result = factors(start, key_of(high));
    const Index left = Index{0x100000000} - low;  // until the low word is 0 again
    if (left < kWidth<T>) [[unlikely]] {
      const Vector<T> next = factors(start, key_of(high + 1));
      for (Index i = left; i < kWidth<T>; ++i) result[i] = next[i];
    }
    return result;
  }

  /// The factors of elements `first`, `first` + step, …, all below 2^32, one vector of them.
  TAPEGRAD_INLINE Vector<T> spread(std::uint32_t first, std::uint32_t step) const {
    typename VectorOf<T>::Unsigned element;
    for (int i = 0; i < kWidth<T>; ++i) element[i] = first + static_cast<std::uint32_t>(i) * step;
    return factors_of(element + static_cast<std::uint32_t>(keys), key_of(0));
  }

 private:
  TAPEGRAD_INLINE std::uint32_t key_of(std::uint32_t high) const {
    return static_cast<std::uint32_t>(keys >> 32) + high * 0x9e3779b9u;
  }
  TAPEGRAD_INLINE Vector<T> factors(std::uint32_t start, std::uint32_t high_key) const {
    typename VectorOf<T>::Unsigned lane;
    for (int i = 0; i < kWidth<T>; ++i) lane[i] = static_cast<std::uint32_t>(i);
    return factors_of(lane + start, high_key);
  }

  TAPEGRAD_INLINE Vector<T> factors_of(typename VectorOf<T>::Unsigned x, std::uint32_t high_key) const {
    const auto bits = mix(mix(x & 0xffffffffu) ^ high_key);
    return none ? Vector<T>{} : (bits >= threshold ? splat(factor) : Vector<T>{});
  }

  /// mix32 in every lane; lanes of doubles hold 32 bits too.
  template <class V>
  TAPEGRAD_INLINE static V mix(V x) {
    x = ((x ^ (x >> 16)) * 0x21f0aaadu) & 0xffffffffu;
    x = ((x ^ (x >> 15)) * 0x735a2d97u) & 0xffffffffu;
    return x ^ (x >> 15);
  }
};

/// A dropped element becomes +0: a product with 0 would keep NaN, inf and the sign.
template <class V>
TAPEGRAD_INLINE V dropped(V x, V factor) {
  return factor > 0 ? x * factor : V{};
}

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
