/// The keys and values that a decoder keeps between steps of decoding.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "transposed_weights.h"

namespace tapegrad::nn {

/// Keys and values of one attention, kept over the steps of decoding, in `slots` places for a sequence each.
/// Keys are stored transposed, so that a step reads neighbouring keys as one vector.
struct KVCache {
  Tensor keys;    // [slots, d_model, capacity]
  Tensor values;  // [slots, capacity, d_model]
};

/// The slot of each row's keys and values in a cache, and how many of them the row sees.
struct CacheRows {
  std::span<const Index> slots, lengths;  // [rows]
};

/// The state of a Decoder between steps: for every layer the keys and values of the memory, computed once,
/// and those of all earlier steps, in memory that doubles when it is full: most steps allocate nothing. It
/// holds transposed copies of the weights, too. Rows are found through a table of slots: dropping rows moves
/// nothing, and only a row with several successors is copied.
class DecoderCache {
 public:
  struct LayerCache {
    KVCache past, memory;
  };

  DecoderCache() = default;
  /// `layers[i].memory` is there; row r reads the first `memory_lengths[r]` places of memory r.
  DecoderCache(std::vector<LayerCache> layers, std::span<const Index> memory_lengths,
               std::shared_ptr<TransposedWeights> weights);

  Index rows() const { return static_cast<Index>(slots_.size()); }
  /// Steps done.
  Index time() const { return time_; }

  /// Room for one more step: `past_rows()` then count its key.
  void begin_step();
  void end_step() { ++time_; }
  LayerCache& layer(std::size_t i) { return layers_[i]; }
  CacheRows past_rows() const { return {slots_, lengths_}; }
  CacheRows memory_rows() const { return {sources_, memory_lengths_}; }
  /// The weights of the model that decodes, as its steps read them.
  TransposedWeights& weights() { return *weights_; }

  /// From now on row r goes on from what row `parents[r]` was; rows that are not named are dropped. Throws
  /// when a parent is no row.
  void select(std::span<const Index> parents);

 private:
  void grow(Index slots, Index capacity);
  void copy(Index from, Index to);

  std::vector<LayerCache> layers_;
  std::shared_ptr<TransposedWeights> weights_;
  std::vector<Index> slots_, lengths_, sources_, memory_lengths_;  // [rows]
  std::vector<Index> spare_;
  std::vector<char> taken_;  // [slots]
  Index time_ = 0, capacity_ = 0;
};

}  // namespace tapegrad::nn
