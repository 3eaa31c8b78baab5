/// Batches of examples of similar length, in an order that is reproducible and can be resumed.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tapegrad {

/// Tokens of one example's source and target.
struct ExampleLength {
  std::int64_t source = 0, target = 0;
};

struct BatchOptions {
  std::int64_t batch_size = 64;  ///< most examples of a batch
  /// Most padded tokens of a batch, examples * (longest source + longest target). A longer example goes
  /// alone.
  std::optional<std::int64_t> max_tokens = std::nullopt;
  std::int64_t pool = 50;  ///< batches' worth of examples that are sorted by length together
  std::uint64_t seed = 1;
};

/// Batches of examples of similar length, identical on every machine. An epoch shuffles all examples by a
/// hash of (seed, epoch, index), cuts them into pools, sorts each pool by length (equal lengths stay
/// shuffled), cuts the pools into batches and shuffles the batches. Every example comes once an epoch.
/// (epoch, index) is the position of the next batch; `seek` resumes there.
class Batches {
 public:
  /// Throws Error when there are no examples or an option is out of range.
  explicit Batches(std::vector<ExampleLength> lengths, const BatchOptions& options = {});

  /// Positions of the examples of the next batch; the last batch of an epoch is followed by the first of the
  /// next. Valid until the next call.
  std::span<const std::int64_t> next();

  /// The epoch of the next batch, and its number in that epoch, both from 0. At an epoch's end `index()`
  /// equals `count()`.
  std::int64_t epoch() const noexcept { return epoch_; }
  std::int64_t index() const noexcept { return index_; }
  /// Batches in the current epoch; equal for all epochs without `max_tokens`.
  std::int64_t count() const noexcept { return static_cast<std::int64_t>(batches_.size()); }
  /// Continues at batch `index` of `epoch`. Throws Error when that epoch has no such batch.
  void seek(std::int64_t epoch, std::int64_t index);

 private:
  struct Slot {
    std::uint64_t key;
    std::int64_t example;
  };
  struct Batch {
    std::uint64_t key;
    std::int64_t begin, end;
  };
  void arrange();
  void sort_pool(std::span<Slot> pool);
  void cut_pool(std::int64_t begin, std::int64_t end);

  std::vector<ExampleLength> lengths_;
  BatchOptions options_;
  std::vector<Slot> slots_;
  std::vector<std::int64_t> order_;
  std::vector<Batch> batches_;
  std::int64_t epoch_ = 0, index_ = 0;
};

}  // namespace tapegrad
