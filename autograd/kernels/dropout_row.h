/// Internal: dropout of a run of elements.
#pragma once

#include <tapegrad/autograd/kernels/isa.h>
#include <tapegrad/autograd/kernels/random.h>

namespace tapegrad::kernels::TAPEGRAD_ISA {

template <class T>
struct Dropout {
  std::uint64_t keys;
  std::uint32_t threshold;  // an element is kept when its bits reach this
  bool none;                // p = 1
  T factor;

  TAPEGRAD_INLINE Dropout(double p, RandomKey key)
      : keys(splitmix64(key.value)),
        threshold(static_cast<std::uint32_t>(dropout_threshold(p))),
        none(p >= 1),
        factor(none ? T{0} : static_cast<T>(1 / (1 - p))) {}

  /// write(i, factor or 0) for i < n: element `first + i` decides. As random_bits, with the high word out of
  /// the loop.
  template <class Write>
  TAPEGRAD_INLINE void for_each(Index n, std::uint64_t first, Write write) const {
    const auto low_key = static_cast<std::uint32_t>(keys);
    for (Index i = 0; i < n;) {
      const std::uint64_t element = first + static_cast<std::uint64_t>(i);
      const auto low = static_cast<std::uint32_t>(element);
      const auto high = static_cast<std::uint32_t>(element >> 32);
      const Index run = min_of<Index>(n - i, static_cast<Index>(std::uint64_t{0x100000000u} - low));
      const std::uint32_t high_key = static_cast<std::uint32_t>(keys >> 32) + high * 0x9e3779b9u;
      const std::uint32_t start = low + low_key;
      const int count = static_cast<int>(min_of<Index>(run, 1 << 30));
      for (int r = 0; r < count; ++r) {
        const std::uint32_t bits = mix32(mix32(start + static_cast<std::uint32_t>(r)) ^ high_key);
        write(i + r, bits >= threshold ? factor : T{0});
      }
      i += count;
    }
  }
};

}  // namespace tapegrad::kernels::TAPEGRAD_ISA
