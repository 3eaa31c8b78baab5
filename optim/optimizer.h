#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tapegrad/autograd/gradients.h>

namespace tapegrad {

/// What differs for a group of parameters.
struct GroupOptions {
  double learning_rate_factor = 1;                    ///< times the optimizer's learning rate
  std::optional<double> weight_decay = std::nullopt;  ///< instead of the optimizer's
};

/// What all optimizers share: learning rate, groups by path pattern, and state by parameter, saved and loaded
/// by name. A parameter that the loss did not reach, or that is frozen, is skipped.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter in `gradients`. Throws when they are stale.
  void step(const Gradients& gradients);

  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double rate);
  /// Parameters whose path matches `pattern` (`*` stands for any characters) follow `options`; of several
  /// matches the last counts. Throws unless the factor and the decay are finite and not negative.
  void group(std::string pattern, const GroupOptions& options);

  /// State by name: `<path>.exp_avg`, `<path>.step`, …, as PyTorch names them.
  std::map<std::string, Tensor> state() const;
  /// Continues from what `state()` gave for parameters of these paths; whatever was learned before is
  /// forgotten. Throws on an unknown, missing or misshaped tensor or a count of steps that is none, and then
  /// nothing has changed.
  void load_state(const ParameterStore& params, const std::map<std::string, Tensor>& state);

 protected:
  struct Slot {
    Parameter parameter;
    GroupOptions group;
    std::vector<Tensor> tensors;  // in the order of `state_names`, made at the first step
    double steps = 0;
  };

  Optimizer(double learning_rate, std::vector<std::string> state_names);
  /// Changes `slot.parameter` by its gradient; `slot.steps` counts this step already.
  virtual void update(Slot& slot, const TensorView& gradient, double learning_rate) = 0;

 private:
  using Slots = std::unordered_map<const ParameterData*, Slot>;
  Slot& slot_of(Slots& slots, const Parameter& p) const;
  GroupOptions group_of(const std::string& path) const;

  double learning_rate_;
  std::vector<std::string> state_names_;
  std::vector<std::pair<std::string, GroupOptions>> groups_;
  Slots slots_;
};

}  // namespace tapegrad
