#include <tapegrad/nn/train/sharded_step.h>

#include <algorithm>
#include <cstring>

#include <tapegrad/autograd/kernels/elementwise.h>

namespace tapegrad {

Index shard_count(Index rows, Index tokens) {
  constexpr Index least_tokens = 512, most_shards = 64;
  Index shards = 1;
  while (2 * shards <= std::min(rows, most_shards) && tokens / (2 * shards) >= least_tokens) shards *= 2;
  return shards;
}

ShardedStep::ShardedStep(const ParameterStore& params, const ShardedStepOptions& options)
    : team_(options.threads), slot_(acquire_slot(nullptr)) {
  for (std::size_t worker = 0; worker < options.threads; ++worker)
    tapes_.push_back(std::make_unique<Tape>(TapeOptions{
        .dtype = options.dtype, .training = options.training, .sharded = true, .seed = options.seed}));
  for (const Parameter& p : params)
    if (!p.is_buffer()) parameters_.push_back(p);
  entries_.reserve(parameters_.size());
}

ShardedStep::~ShardedStep() { release_slot(slot_); }

std::size_t ShardedStep::peak_bytes() const {
  std::size_t most = 0;
  for (const auto& tape : tapes_) most = std::max(most, tape->peak_bytes());
  return most;
}

void ShardedStep::begin(Index shards) {
  expects(shards >= 1, "sharded step: {} shards", shards);
  slot_->live_pass =
      slot_->next_serial++;  // earlier results are stale from here on, and this pass has none yet
  active_ = static_cast<std::size_t>(shards);
  while (shards_.size() < active_) {
    Shard& shard = shards_.emplace_back();
    shard.gradients.resize(parameters_.size());
    shard.reached.resize(parameters_.size());
  }
}

TensorView ShardedStep::gradient(Shard& shard, std::size_t parameter) const {
  Tensor& own = shard.gradients[parameter];
  if (!own) own = Tensor(parameters_[parameter].shape(), parameters_[parameter].dtype());
  return own.view();
}

void ShardedStep::finish(std::size_t number, Tape& tape, const ShardLoss& loss) {
  Shard& shard = shards_[number];
  expects(loss.count >= 0, "sharded step: shard {} counts {} targets", number, loss.count);
  shard.loss_sum = loss.sum.item();
  shard.count = loss.count;
  std::fill(shard.reached.begin(), shard.reached.end(), char{0});
  if (!loss.sum.needs_grad()) return;
  const Gradients gradients = tape.backward(loss.sum, {.consume = true});
  for (const Gradients::Entry& entry : gradients.parameters("sharded step")) {
    const auto at = std::find(parameters_.begin(), parameters_.end(), *entry.parameter);
    expects(at != parameters_.end(),
            "sharded step: the loss trains parameter '{}', which is none of the {} that the store held when "
            "the step was "
            "made; make the step after the model, or freeze that parameter",
            entry.parameter->path(), parameters_.size());
    const auto i = static_cast<std::size_t>(at - parameters_.begin());
    std::memcpy(gradient(shard, i).bytes, entry.gradient.bytes, entry.gradient.byte_count());
    shard.reached[i] = 1;
  }
}

StepResult ShardedStep::combine() {
  // A fixed tree, whatever the threads: shard s takes in s + 1, then s + 2, s + 4, … Parameters are
  // independent, so they are the tasks.
  team_.run(parameters_.size(), [&](std::size_t, std::size_t i) {
    for (std::size_t stride = 1; stride < active_; stride *= 2)
      for (std::size_t s = 0; s + stride < active_; s += 2 * stride) {
        Shard &into = shards_[s], &from = shards_[s + stride];
        if (!from.reached[i]) continue;
        const TensorView sum = gradient(into, i), part = gradient(from, i);
        if (into.reached[i])
          dispatch(sum.dtype, [&](auto zero) {
            kernels::add_into(sum.data<decltype(zero)>(), part.data<decltype(zero)>(), sum.size());
          });
        else
          std::memcpy(sum.bytes, part.bytes, sum.byte_count());
        into.reached[i] = 1;
      }
  });
  StepResult result;
  for (std::size_t stride = 1; stride < active_; stride *= 2)
    for (std::size_t s = 0; s + stride < active_; s += 2 * stride) {
      shards_[s].loss_sum += shards_[s + stride].loss_sum;
      shards_[s].count += shards_[s + stride].count;
    }
  result.loss_sum = shards_[0].loss_sum;
  result.count = shards_[0].count;
  entries_.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!shards_[0].reached[i]) continue;
    const TensorView sum = gradient(shards_[0], i);
    dispatch(sum.dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::scale(sum.data<T>(),
                     result.count > 0 ? static_cast<T>(1.0 / static_cast<double>(result.count)) : T(0),
                     sum.data<T>(), sum.size());
    });
    entries_.push_back({&parameters_[i], sum});
  }
  slot_->live_pass = slot_->next_serial++;
  result.gradients = Gradients(entries_, {slot_, slot_->live_pass, Stamp::pass});
  return result;
}

}  // namespace tapegrad
