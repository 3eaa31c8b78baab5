#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "numpy_random.h"
#include "sizes.h"

namespace tapegrad::bench {

inline constexpr std::int64_t bos = 1, first_symbol = 3;  // 0 pads, 2 ends: neither is used here

/// A batch of the copy task, [batch, length] row-major: the target is the source, what the decoder reads is
/// the target behind `bos`.
struct Batch {
  std::vector<std::int64_t> source, target_in;

  Batch(std::vector<std::int64_t> symbols, std::int64_t length)
      : source(std::move(symbols)), target_in(source.size()) {
    for (std::size_t i = 0; i < source.size(); ++i)
      target_in[i] = i % static_cast<std::size_t>(length) == 0 ? bos : source[i - 1];
  }
};

/// The batches of a run: drawn afresh from a seed, equal to those of the peers in Python, or given, and then
/// taken in turn.
class Batches {
 public:
  Batches(const Size& size, std::uint64_t seed, std::vector<Batch> given = {})
      : size_(size), random_(seed), given_(std::move(given)) {}

  /// The number of batches that a timed run keeps.
  std::size_t kept() const { return given_.empty() ? 16 : given_.size(); }

  Batch next() {
    if (!given_.empty()) return given_[taken_++ % given_.size()];
    std::vector<std::int64_t> symbols(static_cast<std::size_t>(size_.tokens()));
    for (std::int64_t& symbol : symbols) symbol = random_.integer(first_symbol, size_.vocabulary);
    return {std::move(symbols), size_.length};
  }

 private:
  const Size& size_;
  NumpyRandom random_;
  std::vector<Batch> given_;
  std::size_t taken_ = 0;
};

}  // namespace tapegrad::bench
