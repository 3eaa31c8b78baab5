/// NumPy's `default_rng(seed).integers(low, high)`, so that all programs draw equal batches from a seed.
#pragma once
#include <array>
#include <cstdint>

namespace tapegrad::bench {

/// PCG64 (O'Neill, 2014: XSL-RR output) started by NumPy's SeedSequence, which spreads the seed by hashing;
/// integers below a bound by Lemire's method (arXiv 1805.10941) on 32-bit halves, low half first.
class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint64_t seed) {
    const std::array<std::uint64_t, 4> words = seed_words(seed);
    increment_ = (pair(words[2], words[3]) << 1) | 1;
    advance();
    state_ += pair(words[0], words[1]);
    advance();
  }

  /// Uniform in [low, high), for high - low < 2³².
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    const auto range = static_cast<std::uint32_t>(high - low);
    std::uint64_t product = std::uint64_t{next32()} * range;
    if (static_cast<std::uint32_t>(product) < range) {
      const std::uint32_t threshold = (0u - range) % range;
      while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{next32()} * range;
    }
    return low + static_cast<std::int64_t>(product >> 32);
  }

 private:
  __extension__ using Wide = unsigned __int128;

  static Wide pair(std::uint64_t high, std::uint64_t low) { return (Wide{high} << 64) | low; }

  struct Hash {
    std::uint32_t constant, factor;
    std::uint32_t operator()(std::uint32_t value) {
      value ^= constant;
      constant *= factor;
      value *= constant;
      return value ^ (value >> 16);
    }
  };

  static std::array<std::uint64_t, 4> seed_words(std::uint64_t seed) {
    std::array<std::uint32_t, 4> pool = {static_cast<std::uint32_t>(seed),
                                         static_cast<std::uint32_t>(seed >> 32), 0, 0};
    Hash absorb{0x43b0d7e5, 0x931e8875};
    for (std::uint32_t& word : pool) word = absorb(word);
    for (std::size_t from = 0; from < pool.size(); ++from)
      for (std::size_t to = 0; to < pool.size(); ++to) {
        if (from == to) continue;
        const std::uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * absorb(pool[from]);
        pool[to] = mixed ^ (mixed >> 16);
      }
    Hash produce{0x8b51f9dd, 0x58f38ded};
    std::array<std::uint64_t, 4> words{};
    for (std::size_t i = 0; i < 2 * words.size(); ++i)
      words[i / 2] |= std::uint64_t{produce(pool[i % pool.size()])} << (32 * (i % 2));
    return words;
  }

  void advance() { state_ = state_ * pair(0x2360ed051fc65da4, 0x4385df649fccf645) + increment_; }

  std::uint32_t next32() {
    if (half_waits_) {
      half_waits_ = false;
      return half_;
    }
    advance();
    const auto folded = static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_);
    const auto turn = static_cast<unsigned>(state_ >> 122);
    const std::uint64_t bits = (folded >> turn) | (folded << (-turn & 63));
    half_ = static_cast<std::uint32_t>(bits >> 32);
    half_waits_ = true;
    return static_cast<std::uint32_t>(bits);
  }

  Wide state_ = 0, increment_ = 0;
  std::uint32_t half_ = 0;
  bool half_waits_ = false;
};

}  // namespace tapegrad::bench
