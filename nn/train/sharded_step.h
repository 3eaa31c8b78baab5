/// One training step of a batch that is cut into shards for several threads.
#pragma once
#include <concepts>
#include <memory>
#include <unordered_map>
#include <vector>

#include "../../autograd/parallel/slices.h"
#include "../../autograd/parallel/threads.h"
#include "../../autograd/tape.h"

namespace tapegrad::nn {

/// The result of the user's function for one shard: the *sum* of the losses of its examples, and over how
/// many targets.
struct ShardLoss {
  Var sum;
  Index count = 0;
};

/// One training step's loss and gradients, over all shards. `gradients` is valid until the next `run`.
struct StepResult {
  double loss_sum = 0;
  Index count = 0;
  Gradients gradients;
  /// Mean loss a target; 0 when there was no valid target.
  double loss() const { return count > 0 ? loss_sum / static_cast<double>(count) : 0; }
};

struct ShardedStepOptions {
  std::size_t threads = 1;
  std::uint64_t seed = 0;
  bool training = true;
  DType dtype = DType::f32;
  bool check = false;  ///< as TapeOptions::check: a NonFiniteError names the first op
};

/// Into how many shards a batch of `rows` examples and `tokens` (target) tokens is cut: a power of two, at
/// most 64, that leaves a row and 128 tokens a shard; 256 tokens for a model of more than 2¹⁸ parameters;
/// 512, and at most 16 shards, for more than 2²². It follows from batch and model alone, never from the
/// number of threads. Small shards keep values and cotangents in the cache of a core, but each writes all
/// gradients once and has them read once, and a large model's come from memory.
Index shard_count(Index rows, Index tokens, Index parameters);

/// First row of shard `shard` of `shards`; rows [shard_begin(s), shard_begin(s + 1)) are shard s.
inline Index shard_begin(Index rows, Index shard, Index shards) { return rows * shard / shards; }

/// A batch that a step can cut: a number of rows (examples) and of tokens, and the shard of rows [begin,
/// end), of any type that the loss takes.
template <class B>
concept ShardableBatch = requires(const B& batch, Index row) {
  { batch.rows() } -> std::convertible_to<Index>;
  { batch.tokens() } -> std::convertible_to<Index>;
  batch.slice(row, row);
};

/// Forward and backward over the shards of a batch, one tape a thread, threads sharing nothing while they
/// run. Every shard's gradient is that of its loss sum, written where it stays until the next step; then each
/// thread takes an equal part of the elements, adds the shards' gradients along a fixed binary tree and
/// multiplies once by 1 / count of all shards. So 1, 2 or 64 threads give the same bits. (A single shard
/// knows the count before its backward pass, and starts that from 1 / count.) An exception in a shard
/// surfaces once and leaves the parameters untouched. The parameters are those that `params` holds when the
/// step is made; a trainable one outside them in the loss throws.
///
///     ShardedStep step(params, {.threads = 2});
///     const StepResult result = step.run(batch, [&](Tape& tape, const Seq2SeqBatch& shard) -> ShardLoss {
///       return {model.loss_sum(tape, shard), shard.targets};
///     });
///     adam.step(result.gradients);
class ShardedStep {
 public:
  ShardedStep(const ParameterStore& params, const ShardedStepOptions& options = {});
  ~ShardedStep();
  ShardedStep(const ShardedStep&) = delete;
  ShardedStep& operator=(const ShardedStep&) = delete;

  /// Cuts `batch` into shard_count(batch.rows(), batch.tokens(), trainable values) shards, and runs
  /// `loss(tape, shard)` for each, which returns a ShardLoss recorded on `tape`. `slice` and `loss` run on
  /// several threads at once. `step` keys the random draws; without it steps count from 1, or go on from the
  /// last one.
  template <ShardableBatch B, class F>
  StepResult run(const B& batch, F&& loss) {
    return run(step_ + 1, batch, loss);
  }
  template <ShardableBatch B, class F>
  StepResult run(std::uint64_t step, const B& batch, F&& loss) {
    const Index rows = batch.rows(), shards = shard_count(rows, batch.tokens(), trainable_values());
    return run(step, shards, [&](Tape& tape, Index shard) -> ShardLoss {
      const auto part = batch.slice(shard_begin(rows, shard, shards), shard_begin(rows, shard + 1, shards));
      return loss(tape, part);
    });
  }
  /// The step over a batch that is cut already: `loss(tape, i)` is the loss of shard i of `shards`.
  template <class F>
  StepResult run(std::uint64_t step, Index shards, F&& loss) {
    step_ = step;
    begin(shards);
    team_.run(static_cast<std::size_t>(shards), [&](std::size_t worker, std::size_t shard) {
      Tape& tape = workers_[worker]->tape;
      tape.reset(step, shard);
      finish(shard, *workers_[worker], loss(tape, static_cast<Index>(shard)));
    });
    return combine();
  }

  /// Bytes of the largest tape so far and of the gradients of its shards.
  std::size_t peak_bytes() const;

 private:
  struct Worker {
    Tape tape;
    Arena gradients;  // of all shards that this worker runs in a step
    explicit Worker(const TapeOptions& options) : tape(options) {}
  };
  struct Shard {
    std::vector<TensorView> gradients;  // by position in `parameters_`; empty where none was reached
    std::vector<std::size_t> order;     // positions as the last pass met them
    double loss_sum = 0;
    Index count = 0;
  };

  Index trainable_values() const;
  void begin(Index shards);
  void finish(std::size_t shard, Worker& worker, const ShardLoss& loss);
  std::size_t position(const Parameter& p, std::size_t& guess) const;
  template <class T>
  void reduce(std::size_t parameter, Index begin, Index end, double factor);
  template <class T>
  const T* tree_sum(std::size_t parameter, std::size_t first, std::size_t count, Index begin, Index size,
                    T* buffers) const;
  StepResult combine();

  ThreadTeam team_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Parameter> parameters_;
  std::unordered_map<const ParameterData*, std::size_t> positions_;  // in `parameters_`
  Slices slices_;                                                    // of all parameters
  std::vector<Shard> shards_;
  std::size_t active_ = 0;
  std::uint64_t step_ = 0;  // the last one
  Tensor seed_;
  std::vector<Gradients::Entry> entries_;
  HandleSlot* slot_;
};

}  // namespace tapegrad::nn
