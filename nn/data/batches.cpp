#include "batches.h"
#include "../../autograd/base/error.h"
#include "../../autograd/base/random.h"

#include <algorithm>

namespace tapegrad {
namespace {

enum class Draw : std::uint64_t { examples = 1, batches = 2 };

std::uint64_t hash(std::uint64_t seed, Draw draw, std::int64_t epoch, std::int64_t index) {
  return random_key(seed, static_cast<std::uint64_t>(draw), static_cast<std::uint64_t>(epoch),
                    static_cast<std::uint64_t>(index))
      .value;
}

}  // namespace

Batches::Batches(std::vector<ExampleLength> lengths, const BatchOptions& options)
    : lengths_(std::move(lengths)), options_(options) {
  expects(!lengths_.empty(), "batches: got no examples, expected at least one");
  expects(options.batch_size >= 1, "batches: got batch_size {}, expected at least 1", options.batch_size);
  expects(!options.max_tokens || *options.max_tokens >= 1, "batches: got max_tokens {}, expected at least 1",
          options.max_tokens.value_or(0));
  expects(options.pool >= 1, "batches: got pool {}, expected at least 1", options.pool);
  slots_.resize(lengths_.size());
  order_.resize(lengths_.size());
  batches_.reserve(lengths_.size());
  arrange();
}

void Batches::arrange() {
  const auto size = static_cast<std::int64_t>(slots_.size());
  for (std::int64_t i = 0; i < size; ++i) {
    slots_[static_cast<std::size_t>(i)] = {hash(options_.seed, Draw::examples, epoch_, i), i};
  }
  std::sort(slots_.begin(), slots_.end(),
            [](const Slot& a, const Slot& b) { return a.key < b.key; });  // keys differ: hash is a bijection
  batches_.clear();
  const std::int64_t pool =
      options_.pool > size / options_.batch_size ? size : options_.pool * options_.batch_size;
  for (std::int64_t begin = 0; begin < size; begin += pool) {
    const std::int64_t end = std::min(size, begin + pool);
    sort_pool(
        std::span(slots_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    cut_pool(begin, end);
  }
  std::sort(batches_.begin(), batches_.end(), [](const Batch& a, const Batch& b) { return a.key < b.key; });
  std::transform(slots_.begin(), slots_.end(), order_.begin(), [](const Slot& slot) { return slot.example; });
}

void Batches::sort_pool(std::span<Slot> pool) {
  std::sort(pool.begin(), pool.end(), [this](const Slot& a, const Slot& b) {
    const ExampleLength x = lengths_[static_cast<std::size_t>(a.example)],
                        y = lengths_[static_cast<std::size_t>(b.example)];
    if (x.target != y.target) return x.target < y.target;
    // Sources ascend in one target length and descend in the next, so that a batch across two lengths has
    // less padding.
    if (x.source != y.source) return x.target % 2 == 0 ? x.source < y.source : x.source > y.source;
    return a.key < b.key;
  });
}

void Batches::cut_pool(std::int64_t begin, std::int64_t end) {
  ExampleLength longest;
  const auto close = [this](std::int64_t from, std::int64_t to) {
    batches_.push_back({hash(options_.seed, Draw::batches, epoch_, count()), from, to});
  };
  for (std::int64_t i = begin; i < end; ++i) {
    const ExampleLength own = lengths_[static_cast<std::size_t>(slots_[static_cast<std::size_t>(i)].example)];
    const ExampleLength wider = {std::max(longest.source, own.source), std::max(longest.target, own.target)};
    const bool full =
        i - begin == options_.batch_size ||
        (options_.max_tokens && (i - begin + 1) * (wider.source + wider.target) > *options_.max_tokens);
    if (full && i > begin) {
      close(begin, i);
      begin = i;
    }
    longest = begin == i ? own : wider;
  }
  close(begin, end);
}

std::span<const std::int64_t> Batches::next() {
  if (index_ == count()) {
    ++epoch_;
    index_ = 0;
    arrange();
  }
  const Batch& batch = batches_[static_cast<std::size_t>(index_++)];
  return std::span(order_).subspan(static_cast<std::size_t>(batch.begin),
                                   static_cast<std::size_t>(batch.end - batch.begin));
}

void Batches::seek(std::int64_t epoch, std::int64_t index) {
  expects(epoch >= 0 && index >= 0, "batches: got epoch {}, index {}, expected both at least 0", epoch,
          index);
  if (epoch != epoch_) {
    epoch_ = epoch;
    index_ = 0;
    arrange();
  }
  expects(index <= count(), "batches: got index {} in epoch {}, expected at most {}", index, epoch, count());
  index_ = index;
}

}  // namespace tapegrad
