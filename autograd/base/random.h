/// Counter-based random numbers: the value of an element is a pure function of (key, element), so forward,
/// backward, definition, taps, threads and ranks agree, and nothing is stored.
#pragma once

#include <cstdint>

namespace tapegrad {

/// The key of the random numbers of one tensor.
struct RandomKey {
  std::uint64_t value = 0;
};

/// The finaliser of splitmix64 (Steele, Lea and Flood, 2014).
[[gnu::always_inline]] inline constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// The key of draw number `draw` in `step` of global shard `shard` under `seed`.
[[gnu::always_inline]] inline constexpr RandomKey random_key(std::uint64_t seed, std::uint64_t step,
                                                             std::uint64_t shard, std::uint64_t draw) {
  return {splitmix64(splitmix64(splitmix64(splitmix64(seed) ^ step) ^ shard) ^ draw)};
}

/// One xor-shift-multiply round on 32 bits, constants from Wellons' search ("lowbias32").
[[gnu::always_inline]] inline constexpr std::uint32_t mix32(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0x735a2d97u;
  return x ^ (x >> 15);
}

/// 32 uniform bits for `element`.
[[gnu::always_inline]] inline constexpr std::uint32_t random_bits(RandomKey key, std::uint64_t element) {
  const std::uint64_t keys = splitmix64(key.value);
  const auto low = static_cast<std::uint32_t>(element);
  const auto high = static_cast<std::uint32_t>(element >> 32);
  const std::uint32_t x = mix32(low + static_cast<std::uint32_t>(keys));
  return mix32(x ^ (static_cast<std::uint32_t>(keys >> 32) + high * 0x9e3779b9u));
}

/// Uniform in [0, 1) with 53 bits, for `element`.
[[gnu::always_inline]] inline constexpr double uniform01(RandomKey key, std::uint64_t element) {
  const std::uint64_t high = random_bits(key, element);
  const std::uint64_t low = random_bits({splitmix64(key.value ^ 0x5851f42d4c957f2du)}, element);
  return static_cast<double>(static_cast<std::int64_t>(((high << 32) | low) >> 11)) * 0x1p-53;
}

/// A number of the standard normal distribution, for `element`: Marsaglia's polar method with a logarithm of
/// basic arithmetic, so that every machine has the same bits.
double standard_normal(RandomKey key, std::uint64_t element);

}  // namespace tapegrad
