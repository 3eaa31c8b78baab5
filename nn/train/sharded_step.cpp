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
    tapes_.push_back(std::make_unique<Tape>(
        TapeOptions{.dtype = options.dtype, .training = options.training, .sharded = true, .seed = options.seed}));
  for (const Parameter& p : params)
    if (p.trainable()) trained_.push_back(p);
  entries_.reserve(trained_.size());
}

ShardedStep::~ShardedStep() { release_slot(slot_); }

std::size_t ShardedStep::peak_bytes() const {
  std::size_t most = 0;
  for (const auto& tape : tapes_) most = std::max(most, tape->peak_bytes());
  return most;
}

void ShardedStep::begin(Index shards) {
  expects(shards >= 1, "sharded step: {} shards", shards);
  slot_->live_pass = 0;  // earlier results are stale from here on
  active_ = static_cast<std::size_t>(shards);
  while (shards_.size() < active_) {
    Shard& shard = shards_.emplace_back();
    for (const Parameter& p : trained_) shard.gradients.emplace_back(p.shape(), p.dtype());
    shard.reached.resize(trained_.size());
  }
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
    const auto at = std::find(trained_.begin(), trained_.end(), *entry.parameter);
    if (at == trained_.end()) continue;  // frozen since, or of another store
    const auto i = static_cast<std::size_t>(at - trained_.begin());
    std::memcpy(shard.gradients[i].view().bytes, entry.gradient.bytes, entry.gradient.byte_count());
    shard.reached[i] = 1;
  }
}

StepResult ShardedStep::combine() {
  // A fixed tree, whatever the threads: shard s takes in s + 1, then s + 2, s + 4, … Parameters are independent, so they are the tasks.
  team_.run(trained_.size(), [&](std::size_t, std::size_t i) {
    for (std::size_t stride = 1; stride < active_; stride *= 2)
      for (std::size_t s = 0; s + stride < active_; s += 2 * stride) {
        Shard &into = shards_[s], &from = shards_[s + stride];
        if (!from.reached[i]) continue;
        const TensorView sum = into.gradients[i].view(), part = from.gradients[i].view();
        if (into.reached[i])
          dispatch(sum.dtype, [&](auto zero) { kernels::add_into(sum.data<decltype(zero)>(), part.data<decltype(zero)>(), sum.size()); });
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
  for (std::size_t i = 0; i < trained_.size(); ++i) {
    if (!shards_[0].reached[i]) continue;
    const TensorView sum = shards_[0].gradients[i].view();
    dispatch(sum.dtype, [&](auto zero) {
      using T = decltype(zero);
      kernels::scale(sum.data<T>(), result.count > 0 ? static_cast<T>(1.0 / static_cast<double>(result.count)) : T(0), sum.data<T>(), sum.size());
    });
    entries_.push_back({&trained_[i], sum});
  }
  slot_->live_pass = slot_->next_serial++;
  result.gradients = Gradients(entries_, {slot_, slot_->live_pass, Stamp::pass});
  return result;
}

}  // namespace tapegrad
