#include "cache.h"

#include <algorithm>
#include <numeric>

#include "../../autograd/tensor/axis.h"

namespace tapegrad::nn {
namespace {

constexpr Index first_capacity = 16;

}  // namespace

DecoderCache::DecoderCache(std::vector<LayerCache> layers, std::span<const Index> memory_lengths,
                           std::shared_ptr<TransposedWeights> weights)
    : layers_(std::move(layers)),
      weights_(std::move(weights)),
      slots_(memory_lengths.size()),
      lengths_(memory_lengths.size()),
      memory_lengths_(memory_lengths.begin(), memory_lengths.end()),
      taken_(memory_lengths.size()) {
  std::iota(slots_.begin(), slots_.end(), Index{0});
  sources_ = slots_;
  spare_.reserve(slots_.size());
}

void DecoderCache::begin_step() {
  if (time_ == capacity_) grow(static_cast<Index>(taken_.size()), std::max(first_capacity, 2 * capacity_));
  std::fill(lengths_.begin(), lengths_.end(), time_ + 1);
}

void DecoderCache::grow(Index slots, Index capacity) {
  const auto used = static_cast<Index>(taken_.size());
  for (LayerCache& layer : layers_) {
    const Index width = layer.memory.keys.shape()[1];
    const KVCache old = layer.past;
    layer.past.keys = Tensor({slots, width, capacity}, layer.memory.keys.dtype());
    layer.past.values = Tensor({slots, capacity, width}, layer.memory.keys.dtype());
    if (time_ == 0) continue;
    copy_blocks({old.keys.view(), 0, capacity_}, {layer.past.keys.view(), 0, capacity}, used * width, time_);
    copy_blocks({old.values.view(), 0, capacity_ * width}, {layer.past.values.view(), 0, capacity * width},
                used, time_ * width);
  }
  taken_.resize(static_cast<std::size_t>(slots));
  capacity_ = capacity;
}

void DecoderCache::copy(Index from, Index to) {
  if (time_ == 0) return;  // there may be no memory yet
  for (const LayerCache& layer : layers_) {
    const TensorView keys = layer.past.keys.view(), values = layer.past.values.view();
    const Index width = keys.shape[1], size = width * capacity_;
    copy_blocks({keys, from * size, capacity_}, {keys, to * size, capacity_}, width, time_);
    copy_blocks({values, from * size, 0}, {values, to * size, 0}, 1, time_ * width);
  }
}

void DecoderCache::select(std::span<const Index> parents) {
  for (const Index parent : parents)
    expects(parent >= 0 && parent < rows(), "DecoderCache: parent {} is out of range for {} rows", parent,
            rows());
  const auto gather = [&](std::vector<Index>& table) {
    spare_.clear();
    for (const Index parent : parents) spare_.push_back(table[static_cast<std::size_t>(parent)]);
    table.swap(spare_);
  };
  gather(sources_);
  gather(memory_lengths_);
  gather(slots_);
  lengths_.resize(slots_.size());
  if (parents.size() > taken_.size())
    grow(static_cast<Index>(std::max(parents.size(), 2 * taken_.size())), capacity_);
  // The first successor of a row keeps its slot; the others get copies in slots that nobody needs any more.
  std::fill(taken_.begin(), taken_.end(), char{0});
  for (const Index slot : slots_) taken_[static_cast<std::size_t>(slot)] = 1;
  auto free = taken_.begin();
  constexpr char kept = 2;
  for (Index& slot : slots_) {
    char& state = taken_[static_cast<std::size_t>(slot)];
    if (state == kept) {
      free = std::find(free, taken_.end(), char{0});
      const Index to = free - taken_.begin();
      copy(slot, to);
      slot = to;
      *free = kept;
    } else {
      state = kept;
    }
  }
}

}  // namespace tapegrad::nn
