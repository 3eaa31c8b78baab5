#include "sharded_step.h"

#include <algorithm>
#include <bit>
#include <span>

#include "../../autograd/kernels/elementwise.h"

namespace tapegrad::nn {
namespace {

/// Elements that are added up at a time, so that partial sums stay in the first cache.
constexpr Index block = 512;
constexpr Index most_shards_of_a_step = 1 << 16, tree_depth = 16;

double inverse(Index count) { return count > 0 ? 1 / static_cast<double>(count) : 0; }

}  // namespace

Index shard_count(Index rows, Index tokens, Index parameters) {
  const bool small = parameters <= Index{1} << 18, large = parameters > Index{1} << 22;
  const Index least_tokens = small ? 128 : large ? 512 : 256, most_shards = large ? 16 : 64;
  Index shards = 1;
  while (2 * shards <= std::min(rows, most_shards) && tokens / (2 * shards) >= least_tokens) shards *= 2;
  return shards;
}

ShardedStep::ShardedStep(const ParameterStore& params, const ShardedStepOptions& options)
    : team_(options.threads), seed_({}, options.dtype), slot_(acquire_slot(nullptr)) {
  for (std::size_t worker = 0; worker < options.threads; ++worker)
    workers_.push_back(std::make_unique<Worker>(TapeOptions{.dtype = options.dtype,
                                                            .training = options.training,
                                                            .check = options.check,
                                                            .sharded = true,
                                                            .seed = options.seed}));
  for (const Parameter& p : params)
    if (!p.is_buffer()) {
      positions_.emplace(p.data(), parameters_.size());
      parameters_.push_back(p);
      slices_.add(p.shape().size());
    }
  entries_.reserve(parameters_.size());
}

ShardedStep::~ShardedStep() { release_slot(slot_); }

std::size_t ShardedStep::peak_bytes() const {
  std::size_t most = 0;
  for (const auto& worker : workers_)
    most = std::max(most, worker->tape.peak_bytes() + worker->gradients.peak());
  return most;
}

Index ShardedStep::trainable_values() const {
  Index values = 0;
  for (const Parameter& p : parameters_)
    if (p.trainable()) values += p.shape().size();
  return values;
}

void ShardedStep::begin(Index shards) {
  expects(shards >= 1 && shards <= most_shards_of_a_step, "sharded step: {} shards, not between 1 and {}",
          shards, most_shards_of_a_step);
  slot_->live_pass =
      slot_->next_serial++;  // earlier results are stale from here on, and this pass has none yet
  active_ = static_cast<std::size_t>(shards);
  for (const auto& worker : workers_) worker->gradients.rewind(0);
  while (shards_.size() < active_) {
    Shard& shard = shards_.emplace_back();
    shard.gradients.resize(parameters_.size());
    shard.order.resize(parameters_.size());
  }
}

/// The position of `p` in `parameters_`. A model reads its parameters in the same order in every step, so the
/// last answer, `guess`, is almost always right.
std::size_t ShardedStep::position(const Parameter& p, std::size_t& guess) const {
  if (guess < parameters_.size() && parameters_[guess].data() == p.data()) return guess;
  const auto at = positions_.find(p.data());
  expects(at != positions_.end(),
          "sharded step: the loss trains parameter '{}', which is none of the {} that the store held when "
          "the step was "
          "made; make the step after the model, or freeze that parameter",
          p.path(), parameters_.size());
  return guess = at->second;
}

void ShardedStep::finish(std::size_t number, Worker& worker, const ShardLoss& loss) {
  Shard& shard = shards_[number];
  expects(loss.count >= 0, "sharded step: shard {} counts {} targets", number, loss.count);
  shard.loss_sum = loss.sum.item();
  shard.count = loss.count;
  std::fill(shard.gradients.begin(), shard.gradients.end(), TensorView{});
  if (!loss.sum.needs_grad()) return;
  BackwardOptions options{.consume = true, .leaf_gradients = &worker.gradients};
  if (active_ == 1) {
    if (seed_.shape() != loss.sum.shape()) seed_ = Tensor(loss.sum.shape(), seed_.dtype());
    seed_.fill(inverse(loss.count));
    options.cotangent = seed_;
  }
  const Gradients gradients = worker.tape.backward(loss.sum, options);
  std::size_t met = 0;
  for (const Gradients::Entry& entry : gradients.parameters("sharded step")) {
    std::size_t other = 0;  // more than there are: one that was frozen and thawed on the way is met twice
    std::size_t& guess = met < shard.order.size() ? shard.order[met++] : other;
    TensorView& gradient = shard.gradients[position(*entry.parameter, guess)];
    if (gradient)
      dispatch(gradient.dtype, [&]<class T>(T) {
        kernels::add_into<T>(gradient.data<T>(), entry.gradient.data<T>(), gradient.size());
      });
    else
      gradient = entry.gradient;
  }
}

/// The sum of the gradients [begin, begin + size) of shards first, first + 1, … along a tree that follows
/// from their number alone: the largest power of two of them, and the rest. Null when no shard has any;
/// otherwise in `buffers`, or the gradient of the only shard itself. ⌈log₂(count)⌉ buffers are used.
template <class T>
const T* ShardedStep::tree_sum(std::size_t parameter, std::size_t first, std::size_t count, Index begin,
                               Index size, T* buffers) const {
  if (count == 1) {
    const TensorView& gradient = shards_[first].gradients[parameter];
    return gradient ? gradient.data<T>() + begin : nullptr;
  }
  const std::size_t half = std::bit_floor(count - 1);
  const T* left = tree_sum(parameter, first, half, begin, size, buffers);
  const T* right = tree_sum(parameter, first + half, count - half, begin, size,
                            left == buffers ? buffers + block : buffers);
  if (left == nullptr || right == nullptr) return left == nullptr ? right : left;
  kernels::add(left, right, buffers, size);
  return buffers;
}

/// Elements [begin, end) of one parameter: the sum over the shards, scaled, in place of the first gradient.
template <class T>
void ShardedStep::reduce(std::size_t parameter, Index begin, Index end, double factor) {
  const auto reached = [&](const Shard& s) { return static_cast<bool>(s.gradients[parameter]); };
  const auto shards = std::span(shards_).first(active_);
  const auto first = std::find_if(shards.begin(), shards.end(), reached);
  if (first == shards.end()) return;
  T* result = first->gradients[parameter].template data<T>();
  alignas(64) T buffers[tree_depth * block];
  for (; begin < end; begin += block) {
    const Index size = std::min(block, end - begin);
    const T* sum = tree_sum(parameter, 0, active_, begin, size, buffers);
    kernels::scale(sum, static_cast<T>(factor), result + begin, size);
  }
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
  if (active_ > 1)
    slices_.run(&team_, [&, factor = inverse(result.count)](std::size_t i, Index from, Index to) {
      dispatch(parameters_[i].dtype(), [&]<class T>(T) { reduce<T>(i, from, to, factor); });
    });
  entries_.clear();
  const auto shards = std::span(shards_).first(active_);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    for (const Shard& shard : shards)
      if (const TensorView& sum = shard.gradients[i]) {
        entries_.push_back({&parameters_[i], sum});
        break;
      }
  slot_->live_pass = slot_->next_serial++;
  result.gradients =
      Gradients(entries_, {slot_, slot_->live_pass, HandleId::pass}, active_ > 1 ? &team_ : nullptr);
  return result;
}

}  // namespace tapegrad::nn
