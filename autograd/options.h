/// The options of a tape and of one backward pass.
#pragma once
#include <cstdint>

#include "memory/arena.h"
#include "tensor/tensor.h"

namespace tapegrad {

struct TapeOptions {
  DType dtype = DType::f32;  ///< the one dtype that this tape computes in
  bool training = false;     ///< dropout is active
  bool fused = true;         ///< run fused kernels; false records their definitions in primitive ops
  bool show_parts = false;   ///< record composite ops as their parts, for inspection
  /// Throws a NonFiniteError that names the first op, forward or backward, that makes a NaN or an infinity.
  bool check = false;
  /// false keeps no op and allows no backward pass; values are bit-identical, and stay until `rewind` or
  /// `reset`.
  bool record = true;
  bool sharded = false;    ///< part of a sharded step: layers that mix examples refuse to run
  std::uint64_t seed = 0;  ///< with `step` and `shard`, the key of every random draw
  std::uint64_t step = 0;
  std::uint64_t shard = 0;
};

struct BackwardOptions {
  /// Gives the recording up: every handle but the loss's and the returned gradients becomes stale until
  /// `reset()`, and only variables and parameters have gradients. The pass then reuses the memory of
  /// intermediate gradients. Recommended for training loops.
  bool consume = false;
  /// Records the pass itself, so that the gradients are Vars that can be differentiated again.
  bool create_graph = false;
  /// The cotangent to start from instead of 1, of the result's shape; required when the result is not a
  /// single element.
  Tensor cotangent = {};
  /// Arena for the gradients of variables and parameters, in place of the tape's. The arena's owner decides
  /// how long their memory lasts: it outlives the tape's `reset()`, which only makes the handle stale.
  Arena* leaf_gradients = nullptr;
};

}  // namespace tapegrad
