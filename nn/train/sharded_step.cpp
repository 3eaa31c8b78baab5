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
    if (!p.is_buffer()) {
      positions_.emplace(p.data(), parameters_.size());
      parameters_.push_back(p);
    }
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
    shard.memory.resize(parameters_.size());
  }
}

void ShardedStep::finish(std::size_t number, Tape& tape, const ShardLoss& loss) {
  Shard& shard = shards_[number];
  expects(loss.count >= 0, "sharded step: shard {} counts {} targets", number, loss.count);
  shard.loss_sum = loss.sum.item();
  shard.count = loss.count;
  std::fill(shard.gradients.begin(), shard.gradients.end(), TensorView{});
  if (!loss.sum.needs_grad()) return;
  const Gradients gradients = tape.backward(loss.sum, {.consume = true});
  for (const Gradients::Entry& entry : gradients.parameters("sharded step")) {
    const auto at = positions_.find(entry.parameter->data());
    expects(at != positions_.end(),
            "sharded step: the loss trains parameter '{}', which is none of the {} that the store held when "
            "the step was "
            "made; make the step after the model, or freeze that parameter",
            entry.parameter->path(), parameters_.size());
    shard.gradients[at->second] = entry.gradient;
  }
  // A worker's last shard stays on its tape until the next step.
  if (number + team_.size() < active_) keep(shard);
}

/// Copies a shard's gradients, before its tape is used for another one.
void ShardedStep::keep(Shard& shard) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    TensorView& gradient = shard.gradients[i];
    if (!gradient) continue;
    Tensor& own = shard.memory[i];
    if (!own) own = Tensor(gradient.shape, gradient.dtype);
    const TensorView copy = own.view();
    std::memcpy(copy.bytes, gradient.bytes, copy.byte_count());
    gradient = copy;
  }
}

/// Adds the shards' gradients of one parameter to the first shard's and scales the sum.
void ShardedStep::reduce(std::size_t i, double factor) {
  // A fixed tree, whatever the threads: shard s takes in s + 1, then s + 2, s + 4, …
  for (std::size_t stride = 1; stride < active_; stride *= 2)
    for (std::size_t s = 0; s + stride < active_; s += 2 * stride) {
      TensorView &sum = shards_[s].gradients[i], &part = shards_[s + stride].gradients[i];
      if (!part) continue;
      if (sum)
        dispatch(sum.dtype,
                 [&]<class T>(T) { kernels::add_into<T>(sum.data<T>(), part.data<T>(), sum.size()); });
      else
        sum = part;
    }
  if (const TensorView& sum = shards_[0].gradients[i])
    dispatch(sum.dtype, [&]<class T>(T) {
      kernels::scale<T>(sum.data<T>(), static_cast<T>(factor), sum.data<T>(), sum.size());
    });
}

StepResult ShardedStep::combine() {
  StepResult result;
  for (std::size_t stride = 1; stride < active_; stride *= 2)
    for (std::size_t s = 0; s + stride < active_; s += 2 * stride) {
      shards_[s].loss_sum += shards_[s + stride].loss_sum;
      shards_[s].count += shards_[s + stride].count;
    }
  result.loss_sum = shards_[0].loss_sum;
  result.count = shards_[0].count;
  const double factor = result.count > 0 ? 1.0 / static_cast<double>(result.count) : 0;
  // Parameters are independent, so they are the tasks.
  team_.run(parameters_.size(), [&](std::size_t, std::size_t i) { reduce(i, factor); });
  entries_.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (const TensorView& sum = shards_[0].gradients[i]) entries_.push_back({&parameters_[i], sum});
  slot_->live_pass = slot_->next_serial++;
  result.gradients = Gradients(entries_, {slot_, slot_->live_pass, Stamp::pass});
  return result;
}

}  // namespace tapegrad
