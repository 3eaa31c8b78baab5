#include <tapegrad/optim/optimizer.h>

#include <algorithm>
#include <cmath>

namespace tapegrad {

Optimizer::Optimizer(double learning_rate, std::vector<std::string> state_names)
    : learning_rate_(0), state_names_(std::move(state_names)) {
  set_learning_rate(learning_rate);
}

void Optimizer::set_learning_rate(double rate) {
  expects(std::isfinite(rate) && rate >= 0, "optimizer: learning rate {} is not a finite number >= 0", rate);
  learning_rate_ = rate;
}

void Optimizer::group(std::string pattern, const GroupOptions& options) {
  const double factor = options.learning_rate_factor, decay = options.weight_decay.value_or(0);
  expects(
      std::isfinite(factor) && factor >= 0 && std::isfinite(decay) && decay >= 0,
      "optimizer: group '{}' has learning_rate_factor {} and weight_decay {}; both must be finite and >= 0",
      pattern, factor, decay);
  groups_.emplace_back(std::move(pattern), options);
  for (auto& [data, slot] : slots_) slot.group = group_of(slot.parameter.path());
}

GroupOptions Optimizer::group_of(const std::string& path) const {
  GroupOptions result;
  for (const auto& [pattern, options] : groups_)
    if (path_matches(pattern, path)) result = options;
  return result;
}

Optimizer::Slot& Optimizer::slot_of(Slots& slots, const Parameter& p) const {
  const auto [at, fresh] = slots.try_emplace(p.data());
  Slot& slot = at->second;
  if (fresh) {
    slot.parameter = p;
    slot.group = group_of(p.path());
    for (std::size_t i = 0; i < state_names_.size(); ++i) slot.tensors.emplace_back(p.shape(), p.dtype());
  }
  return slot;
}

void Optimizer::step(const Gradients& gradients) {
  for (const Gradients::Entry& entry : gradients.parameters("optimizer.step")) {
    if (!entry.parameter->trainable()) continue;
    Slot& slot = slot_of(slots_, *entry.parameter);
    slot.steps += 1;
    update(slot, entry.gradient, learning_rate_ * slot.group.learning_rate_factor);
  }
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> result;
  for (const auto& [data, slot] : slots_) {
    result[slot.parameter.path() + ".step"] = Tensor::full({}, slot.steps);
    for (std::size_t i = 0; i < state_names_.size(); ++i)
      result[slot.parameter.path() + "." + state_names_[i]] = slot.tensors[i].clone();
  }
  return result;
}

void Optimizer::load_state(const ParameterStore& params, const std::map<std::string, Tensor>& state) {
  Slots slots;
  for (const auto& [name, value] : state) {
    const std::size_t dot = name.rfind('.');
    const std::string path = name.substr(0, dot == std::string::npos ? 0 : dot), field = name.substr(dot + 1);
    const Parameter p = params.at(path);
    Slot& slot = slot_of(slots, p);
    if (field == "step") {
      slot.steps = value.item();
      expects(slot.steps >= 0 && slot.steps == std::floor(slot.steps),
              "load_state: '{}' is {}, not a count of steps", name, slot.steps);
      continue;
    }
    const auto at = std::find(state_names_.begin(), state_names_.end(), field);
    expects(at != state_names_.end(), "load_state: '{}' names no state of this optimizer", name);
    expects(value.shape() == p.shape(), "load_state: '{}' has shape {}, its parameter {}", name,
            value.shape(), p.shape());
    convert(value.view(), slot.tensors[static_cast<std::size_t>(at - state_names_.begin())].view());
  }
  for (const auto& [data, slot] : slots)
    for (std::size_t i = 0; i <= state_names_.size(); ++i) {
      const std::string name =
          slot.parameter.path() + "." + (i < state_names_.size() ? state_names_[i] : "step");
      expects(state.contains(name), "load_state: '{}' is missing", name);
    }
  slots_ = std::move(slots);
}

}  // namespace tapegrad
