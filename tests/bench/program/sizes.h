/// The sizes at which the benchmark's program runs, with their FLOPs and bytes. This folder is shared with
/// peers in C++ and does not depend on the library.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tapegrad::bench {

struct Size {
  std::string_view name;
  std::int64_t d_model, heads, ff, layers, length, batch, vocabulary;
  int warmup, steps;  ///< untimed and timed steps

  constexpr std::int64_t tokens() const { return batch * length; }  ///< target tokens of a step
};

inline constexpr std::array<Size, 4> sizes = {{
    {"S", 32, 4, 64, 2, 10, 32, 16, 50, 400},
    {"S1", 32, 4, 64, 2, 10, 1, 16, 100, 800},
    {"M", 128, 4, 512, 2, 20, 64, 64, 8, 50},
    {"L", 512, 8, 2048, 6, 64, 16, 1000, 2, 6},
}};

/// The size of this name, or null.
constexpr const Size* find_size(std::string_view name) {
  for (const Size& size : sizes)
    if (size.name == name) return &size;
  return nullptr;
}

constexpr std::int64_t parameter_count(const Size& c) {
  const std::int64_t d = c.d_model, attention = 4 * d * d + 4 * d, norm = 2 * d;
  const std::int64_t feed_forward = 2 * d * c.ff + c.ff + d;
  return c.layers * (attention + feed_forward + 2 * norm)        // encoder
         + c.layers * (2 * attention + feed_forward + 3 * norm)  // decoder
         + 2 * norm + 2 * c.vocabulary * d                       // final norms, embeddings
         + d * c.vocabulary + c.vocabulary;                      // output projection
}

/// Floating-point operations of the matrix products that a step cannot do without, a multiply-add being two.
/// Each product [m, k] [k, n] costs 2 m n k forward and twice that backward (a gradient for either operand).
/// Counted: the projections and feed-forward blocks, the output projection, and in attention q kᵀ and
/// weights v for the pairs that the mask allows (causal: T (T + 1) / 2 of T² in the decoder). Not counted:
/// what a fused attention computes again in the backward pass, biases, softmax, norms, embeddings, loss and
/// optimizer. So GFLOP/s by this count are never flattered by extra work.
constexpr double step_flops(const Size& c) {
  const auto d = static_cast<double>(c.d_model), ff = static_cast<double>(c.ff);
  const auto layers = static_cast<double>(c.layers), time = static_cast<double>(c.length);
  const double encoder = 4 * d * d + 2 * d * ff, decoder = 8 * d * d + 2 * d * ff;  // multiply-adds a token
  const double projections = layers * (encoder + decoder) + d * static_cast<double>(c.vocabulary);
  const double pairs = layers * (2 * time * time + time * (time + 1) / 2);  // of (query, key), a sentence
  const double forward = 2 * projections * static_cast<double>(c.tokens())  //
                         + 2 * 2 * d * pairs * static_cast<double>(c.batch);
  return 3 * forward;
}

}  // namespace tapegrad::bench
