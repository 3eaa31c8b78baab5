/// The choices of a tape and of one backward pass.
#pragma once
#include <cstdint>

#include "memory/arena.h"
#include "tensor/tensor.h"

namespace tapegrad {

struct TapeOptions {
  DType dtype = DType::f32;  ///< the one dtype that this tape computes in
  bool training = false;     ///< dropout is active
  bool fused = true;         ///< run fused kernels; false records their definitions in primitive ops
  bool show_parts = false;   ///< record ops that are composites of others as their parts, to look at
  /// Stop at the first op, forward or backward, that makes a NaN or an infinity: a NonFiniteError names it.
  bool check = false;
  /// false: the values have the same bits, but nothing can be walked back and no op is kept. Values stay
  /// until `rewind` or `reset`.
  bool record = true;
  bool sharded = false;    ///< part of a sharded step: layers that mix examples refuse to run
  std::uint64_t seed = 0;  ///< with `step` and `shard`, the key of every random draw
  std::uint64_t step = 0;
  std::uint64_t shard = 0;
};

struct BackwardOptions {
  /// Gives the recording up: every handle but the loss's and the returned gradients becomes stale, until
  /// `reset()`, and only variables and parameters have gradients. The pass then reuses the memory of
  /// intermediate gradients while it runs. Training loops say it.
  bool consume = false;
  /// Records the pass itself, so that the gradients are Vars that can be differentiated again.
  bool create_graph = false;
  /// Starts from this instead of 1; needed when the result is not a single element, and of its shape.
  Tensor cotangent = {};
  /// Where the gradients of variables and parameters go instead of onto the tape. The arena's owner decides
  /// how long their memory lasts: it outlives the tape's `reset()`, which ends the handle alone.
  Arena* leaf_gradients = nullptr;
};

}  // namespace tapegrad
