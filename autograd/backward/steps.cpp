#include "steps.h"

#include <algorithm>
#include <cstring>

#include "../observe/check.h"
#include "backward_pass.h"

namespace tapegrad {

void BackwardPass::make_room() {
  if (room_ > 0) cotangents_->reserve(static_cast<std::uint32_t>(tape_.flat_.size()) + room_);
}

Tensor BackwardPass::copy(std::uint32_t flat) const {
  const CotangentView from = cotangent(flat);
  if (!from) return {};
  Tensor to(from.shape, from.dtype);
  const Range part = cotangents_->written(flat);
  const auto begin = static_cast<std::size_t>(part.begin) * byte_size(from.dtype);
  const auto end = static_cast<std::size_t>(std::min(part.end, from.size())) * byte_size(from.dtype);
  std::memcpy(static_cast<std::byte*>(to.view().bytes) + begin, static_cast<std::byte*>(from.bytes) + begin,
              end - begin);
  return to;
}

std::vector<Tensor> BackwardPass::contributions(std::uint32_t i, bool in_place) {
  const Node& n = node(i);
  check_versions(n);
  if (n.accumulates_into_output_grad && in_place) allocate_internal(n);
  std::vector<Tensor> parts(n.input_count);
  if (n.checkpoint) return parts;
  if (!n.has_backward) {
    run_pullback(n, [&](std::uint16_t k, const TensorView& part) {
      parts[k] = Tensor::borrowed(part, loss_.id()).clone();
    });
    return parts;
  }
  ViewList in, out;
  std::vector<Tensor> completed;
  ScratchVector<CotangentView> dinputs, doutputs;
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    const TensorView& value = in.push_back(tape_.output(n.inputs[k]));
    if (needs(n.inputs[k])) parts[k] = Tensor(value.shape, value.dtype);
    dinputs.push_back({parts[k] ? parts[k].view().bytes : nullptr, value.shape, value.dtype});
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) {
    const TensorView& value = out.push_back(n.outputs[k]);
    void* output_grad = (*cotangents_)[n.first_output + k];
    if (n.accumulates_into_output_grad && !in_place && n.op->accumulates_into_output_grad(k)) {
      Tensor& copy = completed.emplace_back(value.shape, value.dtype);
      if (output_grad != nullptr) std::memcpy(copy.view().bytes, output_grad, value.byte_count());
      output_grad = copy.view().bytes;
    }
    doutputs.push_back({output_grad, value.shape, value.dtype});
  }
  n.op->backward({in, out, dinputs, doutputs});
  return parts;
}

void BackwardPass::add_contributions(std::uint32_t i, std::span<const Tensor> input_grads) {
  const Node& n = node(i);
  expects(input_grads.size() == n.input_count, "backward_steps: {} has {} inputs, got {} input gradients",
          n.op->name(), n.input_count, input_grads.size());
  if (n.watched) run_hooks(i);
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    if (!input_grads[k] || !needs(n.inputs[k])) continue;
    const TensorView& like = tape_.output(n.inputs[k]);
    expects(input_grads[k].shape() == like.shape && input_grads[k].dtype() == like.dtype,
            "backward_steps: the gradient that {} sends to input {} must be {} {}, got {} {}", n.op->name(),
            k, dtype_name(like.dtype), like.shape, dtype_name(input_grads[k].dtype()),
            input_grads[k].shape());
    add_to(cotangents_->sum(n.inputs[k], like, is_leaf(n.inputs[k])), input_grads[k].view());
  }
  if (tape_.options_.check) check_finite(n);
}

BackwardSteps::BackwardSteps(Tape& tape, const Var& loss, const StepOptions& options)
    : tape_(&tape), loss_(loss), options_(options) {
  pass_ = std::make_unique<BackwardPass>(tape, loss, BackwardOptions{.cotangent = options.cotangent});
  pass_->check();
  pass_->begin();
  id_ = pass_->make_id();
  left_ = loss.id().node + 1;
}
BackwardSteps::~BackwardSteps() = default;
BackwardSteps::BackwardSteps(BackwardSteps&&) noexcept = default;
BackwardSteps& BackwardSteps::operator=(BackwardSteps&&) noexcept = default;

void BackwardSteps::check_alive() const {
  expects(pass_ != nullptr, "backward_steps: these steps were moved to another object");
  expects(id_.slot->tape == tape_, "backward_steps: the tape of this pass is gone");
  expects(id_.alive(), "backward_steps: the tape was reset, or rewound to before the last step; begin again");
  tape_->check_open("backward_steps");
}

bool BackwardSteps::next() {
  check_alive();
  expects(!failed_, "backward_steps: a step of this pass threw; begin again");
  stepped_ = false;
  failed_ = true;  // until this call succeeds
  pass_->make_room();
  while (left_ > 0 && !stepped_) {
    const std::uint32_t i = --left_;
    if (pass_->reached(i)) {
      fill(i);
      stepped_ = true;
    } else {
      pass_->step(i);  // a parameter is noted
    }
  }
  failed_ = false;
  return stepped_;
}

void BackwardSteps::fill(std::uint32_t i) {
  const Node& n = tape_->node(i);
  const Formula formula = n.op->formula();
  Step step{.node = i, .op = n.op->name(), .path = *n.path, .formula = formula.text, .where = formula.where};
  for (std::uint16_t k = 0; k < n.input_count; ++k) {
    const std::uint32_t from = tape_->flat(n.inputs[k]).node;
    step.inputs.push_back(tape_->handle(from, n.inputs[k] - tape_->node(from).first_output));
  }
  for (std::uint16_t k = 0; k < n.output_count; ++k) step.outputs.push_back(tape_->handle(i, k));
  const auto show_output_grads = [&] {
    step.output_grads.clear();
    for (std::uint16_t k = 0; k < n.output_count; ++k) {
      const CotangentView view = pass_->cotangent(n.first_output + k);
      step.output_grads.push_back(view ? Tensor::borrowed(view, id_) : Tensor());
    }
  };
  pass_->zero_fill_output_grads(i);
  const bool intervene = options_.intervene && !n.checkpoint;
  step.input_grads = pass_->contributions(i, intervene);
  if (intervene) {
    show_output_grads();
    options_.intervene(step);
    check_alive();
    pass_->add_contributions(i, step.input_grads);
  } else {
    pass_->step(i);
  }
  id_ = pass_->make_id();  // stale after a rewind to before this step
  show_output_grads();     // now as completed by the rule
  step_ = std::move(step);
}

const Step& BackwardSteps::current() const {
  expects(stepped_, "backward_steps: no step yet (or no more); call next()");
  check_alive();
  return step_;
}

bool BackwardSteps::run_to(const std::function<bool(const Step&)>& fits) {
  while (next())
    if (fits(step_)) return true;
  return false;
}

bool BackwardSteps::run_to_op(std::string_view op) {
  return run_to([&](const Step& s) { return s.op == op; });
}

bool BackwardSteps::run_to_path(std::string_view pattern) {
  return run_to([&](const Step& s) {
    return path_matches(pattern, s.path) || path_matches(pattern, fmt::format("{}.{}", s.path, s.op));
  });
}

bool BackwardSteps::run_to_non_finite() {
  const auto bad = [](const Tensor& x) { return x && first_non_finite(x.view()) >= 0; };
  return run_to([&](const Step& s) {
    const auto bad_value = [&](const Var& x) { return bad(x.value()); };
    const auto shown = s.outputs.begin() + tape_->node(s.node).op->outputs();  // saved ones may be infinite
    return std::any_of(s.output_grads.begin(), s.output_grads.end(), bad) ||
           std::any_of(s.input_grads.begin(), s.input_grads.end(), bad) ||
           std::any_of(s.inputs.begin(), s.inputs.end(), bad_value) ||
           std::any_of(s.outputs.begin(), shown, bad_value);
  });
}

Tensor BackwardSteps::so_far(const Var& x) const {
  check_alive();
  expects(&x.tape("backward_steps") == tape_, "backward_steps: a value of shape {} of another tape",
          x.shape());
  if (x.id().node > loss_.id().node) return {};
  return pass_->copy(tape_->flat_number(x));
}

Gradients BackwardSteps::gradients() {
  while (next()) {
  }
  if (!gradients_) gradients_ = pass_->finish(id_ = pass_->make_id());
  return *gradients_;
}

BackwardSteps backward_steps(const Var& loss, const StepOptions& options) {
  return BackwardSteps(loss.tape("backward"), loss, options);
}

}  // namespace tapegrad
