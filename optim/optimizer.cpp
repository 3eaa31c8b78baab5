#include "optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tapegrad::optim {

Optimizer::Optimizer(double learning_rate, std::vector<StateField> fields, StepCount count)
    : learning_rate_(0), fields_(std::move(fields)), count_(count) {
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
    for (const StateField& field : fields_)
      slot.tensors.push_back(Tensor::full(p.shape(), field.initial, p.dtype()));
  }
  return slot;
}

Optimizer::Part Optimizer::Part::operator()(Index begin, Index end) const {
  Part part = *this;
  part.begin_ += begin;
  part.size_ = end - begin;
  return part;
}

void Optimizer::step(const Gradients& gradients) {
  const auto entries = gradients.parameters("optimizer.step");
  parts_.clear();
  slices_.clear();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Gradients::Entry& entry = entries[i];
    if (!entry.parameter->trainable()) continue;
    order_.resize(std::max(order_.size(), i + 1));
    if (order_[i] == nullptr || !(order_[i]->parameter == *entry.parameter))
      order_[i] = &slot_of(slots_, *entry.parameter);
    Slot& slot = *order_[i];
    slot.steps += 1;
    const double rate = learning_rate_ * slot.group.learning_rate_factor;
    slot.parameter.update(
        [&](Tensor& value) { parts_.emplace_back(slot, value.view(), entry.gradient, rate); });
    slices_.add(entry.gradient.size());
  }
  slices_.run(gradients.threads(),
              [&](std::size_t i, Index begin, Index end) { update(parts_[i](begin, end)); });
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> result;
  for (const auto& [data, slot] : slots_) {
    result[slot.parameter.path() + ".step"] = Tensor::full({}, slot.steps);
    for (std::size_t i = 0; i < fields_.size(); ++i)
      result[slot.parameter.path() + "." + fields_[i].name] = slot.tensors[i].clone();
  }
  return result;
}

std::string Optimizer::take(const Parameter& p, const std::string& field, const Tensor& value,
                            Slots& slots) const {
  Slot& slot = slot_of(slots, p);
  if (field == "step") {
    if (value.size() != 1)
      return fmt::format("has shape {}, but a count of steps is one number", value.shape());
    slot.steps = value.item();
    const bool is_count =
        std::isfinite(slot.steps) && slot.steps >= 0 && slot.steps == std::floor(slot.steps);
    return is_count ? "" : fmt::format("is {}, not a count of steps", slot.steps);
  }
  const auto at =
      std::find_if(fields_.begin(), fields_.end(), [&](const StateField& f) { return f.name == field; });
  if (at == fields_.end()) return fmt::format("this optimizer keeps no '{}'", field);
  if (value.shape() != p.shape())
    return fmt::format("has shape {}, its parameter {}", value.shape(), p.shape());
  if (!is_floating(value.dtype())) return fmt::format("is {}, not floating", dtype_name(value.dtype()));
  convert(value.view(), slot.tensors[static_cast<std::size_t>(at - fields_.begin())].view());
  return "";
}

std::string Optimizer::hint(const std::map<std::string, Tensor>& state) const {
  std::set<std::string> theirs, ours;
  for (const auto& [name, value] : state) theirs.insert(name.substr(name.rfind('.') + 1));
  for (const StateField& field : fields_) ours.insert(field.name);
  theirs.erase("step");
  if (theirs == ours) return "";
  return fmt::format(
      "\n  hint: this optimizer keeps {{{}}}, the state holds {{{}}}: is it of another optimizer, "
      "or were other options set?",
      fmt::join(ours, ", "), fmt::join(theirs, ", "));
}

void Optimizer::load_state(const ParameterStore& params, const std::map<std::string, Tensor>& state) {
  Slots slots;
  std::vector<std::string> problems;
  std::map<std::string, const ParameterData*> paths;  // named in the state
  for (const auto& [name, value] : state) {
    const std::size_t dot = name.rfind('.');
    const std::string path = name.substr(0, dot == std::string::npos ? 0 : dot), field = name.substr(dot + 1);
    std::string problem;
    if (const Parameter p = params.find(path); !p) {
      std::vector<std::string> known;
      for (const Parameter& other : params) known.push_back(other.path());
      const std::string near = nearest_name(path, known);
      problem = fmt::format("there is no parameter '{}'", path);
      if (!near.empty()) problem += fmt::format("; did you mean '{}'?", near);
    } else if (problem = take(p, field, value, slots); problem.empty() || field == "step") {
      paths[path] = p.data();
    }
    if (!problem.empty()) problems.push_back(fmt::format("'{}': {}", name, problem));
  }
  std::map<const ParameterData*, std::string> first_names;
  for (const auto& [path, data] : paths) {
    if (const auto [at, first] = first_names.emplace(data, path); !first)
      problems.push_back(fmt::format("'{}': tied to '{}', of which there is a state too", path, at->second));
    for (const StateField& field : fields_)
      if (const std::string name = path + "." + field.name; !state.contains(name))
        problems.push_back(fmt::format("'{}': missing", name));
    if (state.contains(path + ".step")) continue;
    if (count_ == StepCount::required) problems.push_back(fmt::format("'{}.step': missing", path));
    slots.at(data).steps = 1;
  }
  if (!problems.empty())
    throw Error(fmt::format("load_state: the state does not fit, nothing was changed:\n  {}{}",
                            fmt::join(problems, "\n  "), hint(state)));
  order_.clear();
  slots_ = std::move(slots);
}

}  // namespace tapegrad::optim
