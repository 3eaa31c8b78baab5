#include "replay.h"

#include <algorithm>
#include <cstring>

namespace tapegrad {
namespace {

constexpr std::uint32_t everything_recorded = UINT32_MAX;

}  // namespace

Replay::Replay(const Tape& tape) : Replay(tape, tape.dtype()) {}

Replay::Replay(const Tape& tape, DType dtype)
    : tape_(&tape), dtype_(dtype), nodes_(static_cast<std::uint32_t>(tape.size())) {
  expects(tape.options().record, "replay: this tape does not record (.record = false)");
  expects(nodes_ > 0, "replay: nothing was recorded yet");
  expects(can_compute(dtype), "replay: computes in f32 or f64, got {}", dtype_name(dtype));
  last_recorded_ = tape.handle(nodes_ - 1);
  for (std::uint32_t i = 0; i < nodes_; ++i) owner_.insert(owner_.end(), tape.node(i).output_count, i);
  own_.resize(owner_.size());
  state_.resize(owner_.size(), State::base);
  check();
  touch();
  if (dtype != tape.dtype()) compute_base();
  ready_ = true;
}

void Replay::check() const {
  expects(arena_ != nullptr, "replay: was moved to another object");
  const HandleSlot* slot = last_recorded_.id().slot;
  expects(
      slot->tape == tape_ && tape_->alive(last_recorded_.id()),
      "replay: the tape was reset, rewound or destroyed after this replay was made; record again and make "
      "another one");
  tape_->check_open("replay");
}

void Replay::refuse_checkpoint(const Node& n) {
  if (!n.checkpoint) return;
  throw Error(
      fmt::format("{}{}replay: a checkpoint would have to run, which keeps no recording of what it "
                  "computed; record without checkpoint()",
                  *n.path, n.path->empty() ? "" : ": "));
}

/// Computes every value in `dtype_` from the converted leaves.
void Replay::compute_base() {
  base_.resize(owner_.size());
  for (std::uint32_t i = 0; i < nodes_; ++i) {
    const Node& n = tape_->node(i);
    refuse_checkpoint(n);
    tape_->check_version("replay", n);
    CallBuffer<const TensorView*> views(std::size_t{n.input_count} + n.output_count);
    for (std::uint16_t k = 0; k < n.input_count; ++k) views.put(k, &base_[n.inputs[k]]);
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      TensorView& made = base_[n.first_output + k] = make_like(n.first_output + k);
      views.put(std::size_t{n.input_count} + k, &made);
    }
    if (n.op == nullptr)
      convert(tape_->output(n.first_output), base_[n.first_output]);
    else
      n.op->forward({views.data(), n.input_count}, {views.data() + n.input_count, n.output_count});
  }
}

std::uint32_t Replay::number_of(const Var& x) const {
  check();
  const Tape& recorded_on = x.tape("replay");  // throws when x is empty or stale
  expects(&recorded_on == tape_, "replay: a value of shape {} that was recorded on another tape", x.shape());
  expects(x.id().node < nodes_, "replay: a value of shape {} that was recorded after this replay was made",
          x.shape());
  return tape_->node(x.id().node).first_output + x.output();
}

const TensorView& Replay::base(std::uint32_t flat) const {
  return base_.empty() ? tape_->output(flat) : base_[flat];
}

const TensorView& Replay::current(std::uint32_t flat) const {
  const bool is_own = state_[flat] == State::changed || state_[flat] == State::computed;
  return is_own ? own_[flat] : base(flat);
}

TensorView Replay::make_like(std::uint32_t flat) {
  TensorView view = tape_->output(flat);
  view.dtype = dtype_;
  view.bytes = arena_->allocate(view.byte_count());
  return view;
}

const TensorView& Replay::own(std::uint32_t flat) {
  if (!own_[flat]) own_[flat] = make_like(flat);
  return own_[flat];
}

/// Makes all values handed out so far stale.
void Replay::touch() {
  slot_->live_pass = slot_->next_serial++;
  ready_ = false;
  gradients_ = {};
  walked_.reset();
}

/// The replay's own copy of a value that is about to be changed.
const TensorView& Replay::change(std::uint32_t flat) {
  if (state_[flat] == State::changed) return own_[flat];
  const Node& n = tape_->node(owner_[flat]);
  const auto output = static_cast<int>(flat - n.first_output);
  expects(n.op == nullptr || !n.accumulates_into_output_grad || !n.op->accumulates_into_output_grad(output),
          "replay: result {} of {} is inside the op, which cannot run from there; record with .show_parts "
          "= true",
          output, n.op == nullptr ? "" : n.op->name());
  if (n.op == nullptr && base_.empty()) tape_->check_version("replay", n);
  const TensorView& now = current(flat);
  const TensorView& place = own(flat);
  if (&now != &place && place.size() > 0) std::memcpy(place.bytes, now.bytes, place.byte_count());
  state_[flat] = State::changed;
  changed_.push_back(flat);
  scheduled_for_.reset();
  return place;
}

void Replay::set(const Var& x, const Tensor& value) {
  const std::uint32_t flat = number_of(x);
  expects(static_cast<bool>(value) && value.shape() == x.shape() && value.dtype() == dtype_,
          "replay: a value of {} {} cannot stand for one of {} {}", dtype_name(value.dtype()), value.shape(),
          dtype_name(dtype_), x.shape());
  const TensorView from = value.view(), &to = change(flat);
  if (to.size() > 0) std::memmove(to.bytes, from.bytes, to.byte_count());
  touch();
}

void Replay::set(const Var& x, Index element, double value) {
  const std::uint32_t flat = number_of(x);
  expects(element >= 0 && element < x.size(), "replay: element {} of a value of shape {}", element,
          x.shape());
  const TensorView& to = change(flat);
  dispatch(dtype_, [&]<class T>(T) { to.data<T>()[element] = static_cast<T>(value); });
  touch();
}

void Replay::add(const Var& x, Index element, double amount) {
  const std::uint32_t flat = number_of(x);
  expects(element >= 0 && element < x.size(), "replay: element {} of a value of shape {}", element,
          x.shape());
  const TensorView& to = change(flat);
  dispatch(dtype_, [&]<class T>(T) { to.data<T>()[element] += static_cast<T>(amount); });
  touch();
}

void Replay::clear() {
  check();
  std::fill(state_.begin(), state_.end(), State::base);
  changed_.clear();
  scheduled_for_.reset();
  touch();
  ready_ = true;
}

/// True when every visible result of this node is changed, so that the op need not run.
bool Replay::all_changed(const Node& n) const {
  for (int k = 0; k < n.op->outputs(); ++k)
    if (state_[n.first_output + static_cast<std::uint32_t>(k)] != State::changed) return false;
  return true;
}

void Replay::forget_computed() {
  for (State& state : state_)
    if (state != State::changed) state = State::base;
  scheduled_for_.reset();
}

void Replay::schedule(std::uint32_t last) {
  std::vector<std::uint8_t> wanted(nodes_, last == everything_recorded), moved(owner_.size(), 0);
  if (last != everything_recorded) {
    wanted[owner_[last]] = 1;
    for (std::uint32_t i = owner_[last] + 1; i-- > 0;) {
      const Node& n = tape_->node(i);
      if (wanted[i] == 0) continue;
      for (std::uint16_t k = 0; k < n.input_count; ++k) wanted[owner_[n.inputs[k]]] = 1;
    }
  }
  forget_computed();
  for (const std::uint32_t flat : changed_) moved[flat] = 1;
  calls_.clear();
  views_.clear();
  parameters_.clear();
  discarded_.clear();
  for (std::uint32_t i = 0; i < nodes_; ++i) {
    const Node& n = tape_->node(i);
    const auto depends = [&](std::uint32_t flat) { return moved[flat] != 0; };
    if (n.op == nullptr || std::none_of(n.inputs, n.inputs + n.input_count, depends) || all_changed(n))
      continue;
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      const std::uint32_t flat = n.first_output + k;
      moved[flat] = 1;
      if (state_[flat] != State::changed) state_[flat] = wanted[i] != 0 ? State::computed : State::outdated;
    }
    if (wanted[i] != 0) plan(i);
  }
  scheduled_for_ = last;
}

void Replay::plan(std::uint32_t i) {
  const Node& n = tape_->node(i);
  refuse_checkpoint(n);
  calls_.push_back({n.op, static_cast<std::uint32_t>(views_.size()), n.input_count, n.output_count});
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    const std::uint32_t flat = n.inputs[k];
    views_.push_back(&current(flat));
    if (tape_->node(owner_[flat]).parameter != nullptr && base_.empty() && state_[flat] == State::base)
      parameters_.push_back(owner_[flat]);
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    const std::uint32_t flat = n.first_output + k;
    const bool keep = state_[flat] != State::changed;
    views_.push_back(keep ? &own(flat) : &discarded_.emplace_back(make_like(flat)));
  }
}

void Replay::run(const Var& last) {
  check();
  const std::uint32_t wanted = last ? number_of(last) : everything_recorded;
  touch();
  try {
    if (scheduled_for_ != wanted) schedule(wanted);
    for (const std::uint32_t i : parameters_) tape_->check_version("replay", tape_->node(i));
  } catch (...) {
    forget_computed();
    throw;
  }
  for (const Call& call : calls_) {
    const TensorView* const* views = views_.data() + call.views;
    call.op->forward({views, call.inputs}, {views + call.inputs, call.outputs});
  }
  ready_ = true;
}

Tensor Replay::operator[](const Var& x) const {
  const std::uint32_t flat = number_of(x);
  expects(ready_, "replay: a value was changed; run() comes before reading");
  expects(state_[flat] != State::outdated,
          "replay: run(last) did not compute this value of shape {}, as `last` does not need it; say run()",
          x.shape());
  const bool recorded = base_.empty() && state_[flat] == State::base;
  return recorded ? x.value()
                  : Tensor::borrowed(current(flat), {slot_.get(), slot_->live_pass, HandleId::pass});
}

/// Copies the nodes up to the loss to a tape of the replay, with equal numbers. It shares the recording's ops
/// and the arrays that they save.
void Replay::backward(const Var& loss) {
  const std::uint32_t flat = number_of(loss), last = owner_[flat];
  expects(ready_, "replay: a value was changed; run() comes before backward()");
  expects(state_[flat] != State::outdated, "replay: run(last) did not compute this loss; say run()");
  gradients_ = {};
  walked_.reset();
  auto walked = std::make_unique<Tape>(TapeOptions{.dtype = dtype_, .training = tape_->training()});
  for (std::uint32_t i = 0; i <= last; ++i) {
    const Node& n = tape_->node(i);
    refuse_checkpoint(n);
    const auto changed = [&](std::uint32_t k) { return state_[n.first_output + k] == State::changed; };
    bool any = false;
    for (std::uint32_t k = 0; k < n.output_count; ++k) any |= changed(k);
    const bool fixed = n.op == nullptr || (any && all_changed(n));
    expects(fixed || !any, "replay: no gradients, as one of several results of {} was changed",
            n.op == nullptr ? "" : n.op->name());
    auto* outputs = walked->arena_.array<TensorView>(n.output_count);
    for (std::uint32_t k = 0; k < n.output_count; ++k)
      new (outputs + k) TensorView(current(n.first_output + k));
    bool needs_grad = n.op == nullptr ? n.needs_grad || any : any;
    if (!fixed && n.op->differentiable())
      for (std::uint16_t k = 0; k < n.input_count; ++k) needs_grad |= walked->flat_[n.inputs[k]].needs_grad;

    Node& copy = walked->nodes_.push_back(n);
    copy.outputs = outputs;
    copy.needs_grad = needs_grad;
    copy.watched = false;
    if (fixed) {
      copy.op = nullptr;
      copy.input_count = 0;
    }
    if (any || !base_.empty()) copy.parameter = nullptr;  // not read, so its version is not checked
    walked->number(copy);
    copy.path = n.path;
  }
  gradients_ = walked->backward(walked->handle(last, loss.output()));
  walked_ = std::move(walked);
}

Tensor Replay::gradient(const Var& x) const {
  number_of(x);
  expects(walked_ != nullptr, "replay: no gradients; they come from backward(), and go with any change");
  if (x.id().node >= walked_->size()) return {};
  const Var same = walked_->handle(x.id().node, x.output());
  return gradients_.contains(same) ? gradients_[same] : Tensor();
}

}  // namespace tapegrad
