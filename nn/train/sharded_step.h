#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include <tapegrad/autograd/tape.h>
#include <tapegrad/nn/parallel/threads.h>

namespace tapegrad {

/// What the user's function returns for one shard: the *sum* of the losses of its examples, and over how many
/// targets.
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
};

/// Into how many shards a batch is cut: a power of two that leaves at least 512 tokens (and one row) a shard,
/// at most 64. It follows from the batch alone, never from the number of threads.
Index shard_count(Index rows, Index tokens);

/// First row of shard `shard` of `shards`; rows [shard_begin(s), shard_begin(s + 1)) are shard s.
inline Index shard_begin(Index rows, Index shard, Index shards) { return rows * shard / shards; }

/// Forward and backward over the shards of a batch, one tape a thread, threads sharing nothing while they
/// run. Every shard's gradient is that of its loss sum; the shards' gradients are added along a fixed binary
/// tree and then multiplied once by 1 / count of all shards. So 1, 2 or 64 threads give the same bits. An
/// exception in a shard surfaces once and leaves the parameters untouched. The parameters are those that
/// `params` holds when the step is made; a trainable one outside them in the loss throws.
class ShardedStep {
 public:
  ShardedStep(const ParameterStore& params, const ShardedStepOptions& options = {});
  ~ShardedStep();
  ShardedStep(const ShardedStep&) = delete;
  ShardedStep& operator=(const ShardedStep&) = delete;

  /// `loss(tape, shard)` returns a ShardLoss recorded on `tape`; it runs on several threads at once. `step`
  /// keys the random draws.
  template <class F>
  StepResult run(std::uint64_t step, Index shards, F&& loss) {
    begin(shards);
    team_.run(static_cast<std::size_t>(shards), [&](std::size_t worker, std::size_t shard) {
      Tape& tape = *tapes_[worker];
      tape.reset(step, shard);
      finish(shard, tape, loss(tape, static_cast<Index>(shard)));
    });
    return combine();
  }

  /// Bytes of the largest tape so far.
  std::size_t peak_bytes() const;

 private:
  struct Shard {
    std::vector<TensorView> gradients;  // by position in `parameters_`; empty where none was reached
    std::vector<Tensor> memory;         // for those that do not stay on a tape; made when first needed
    double loss_sum = 0;
    Index count = 0;
  };

  void begin(Index shards);
  void finish(std::size_t shard, Tape& tape, const ShardLoss& loss);
  void keep(Shard& shard);
  void reduce(std::size_t parameter, double factor);
  StepResult combine();

  ThreadTeam team_;
  std::vector<std::unique_ptr<Tape>> tapes_;
  std::vector<Parameter> parameters_;
  std::unordered_map<const ParameterData*, std::size_t> positions_;  // in `parameters_`
  std::vector<Shard> shards_;
  std::size_t active_ = 0;
  std::vector<Gradients::Entry> entries_;
  LifetimeSlot* slot_;
};

}  // namespace tapegrad
