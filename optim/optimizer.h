#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "../autograd/gradients.h"
#include "../autograd/parallel/slices.h"

namespace tapegrad::optim {

/// What differs for a group of parameters.
struct GroupOptions {
  double learning_rate_factor = 1;                    ///< times the optimizer's learning rate
  std::optional<double> weight_decay = std::nullopt;  ///< instead of the optimizer's
};

/// What all optimizers share: learning rate, groups by path pattern, and state by parameter, saved and loaded
/// by name. A parameter that the loss did not reach, or that is frozen, is skipped.
class Optimizer {
 public:
  /// A tensor of the parameter's shape that an optimizer keeps for it, named as in PyTorch.
  struct StateField {
    std::string name;
    double initial = 0;
  };

  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter in `gradients`, on the threads of the step that they come from; elements
  /// are independent, so their number changes no bit. Throws when the gradients are stale.
  void step(const Gradients& gradients);

  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double rate);
  /// Parameters whose path matches `pattern` (`*` stands for any characters) follow `options`; of several
  /// matches the last counts. Throws unless the factor and the decay are finite and not negative.
  void group(std::string pattern, const GroupOptions& options);

  /// State by name: `<path>.exp_avg`, `<path>.step`, …, as PyTorch names them.
  std::map<std::string, Tensor> state() const;
  /// Continues from what `state()` gave for parameters of these paths; whatever was learned before is
  /// forgotten. A state that PyTorch wrote, under the same names and in any dtype, does as well. Throws one
  /// error that lists every unknown, missing, misshaped or wrong-typed tensor and every count of steps that
  /// is none; then nothing has changed.
  void load_state(const ParameterStore& params, const std::map<std::string, Tensor>& state);

 protected:
  struct Slot {
    Parameter parameter;
    GroupOptions group;
    std::vector<Tensor> tensors;  // in the order of the fields, made at the first step
    double steps = 0;
  };

  /// Some elements of one parameter, which may be updated beside others.
  class Part {
   public:
    Part(const Slot& slot, const TensorView& value, const TensorView& gradient, double learning_rate)
        : slot_(&slot),
          value_(value),
          gradient_(gradient),
          size_(value.size()),
          steps_(slot.steps),
          rate_(learning_rate) {}
    /// Those of its elements that stand in [begin, end).
    Part operator()(Index begin, Index end) const;

    Index size() const { return size_; }
    DType dtype() const { return value_.dtype; }
    template <class T>
    T* values() const {
      return value_.data<T>() + begin_;
    }
    template <class T>
    const T* gradients() const {
      return gradient_.data<T>() + begin_;
    }
    /// Of the field of this number.
    template <class T>
    T* state(std::size_t field) const {
      return slot_->tensors[field].view().template data<T>() + begin_;
    }
    /// Steps, this one included.
    double steps() const { return steps_; }
    double learning_rate() const { return rate_; }
    double weight_decay(double otherwise) const { return slot_->group.weight_decay.value_or(otherwise); }

   private:
    const Slot* slot_;
    TensorView value_, gradient_;
    Index begin_ = 0, size_;
    double steps_;  // the slot's may go on: a parameter that was frozen and thawed has two gradients
    double rate_;
  };

  /// Whether a state without `step` can be continued: SGD only asks whether a step was made, and PyTorch
  /// writes none for it.
  enum class StepCount { required, optional };

  Optimizer(double learning_rate, std::vector<StateField> fields, StepCount count = StepCount::required);
  /// Changes values and state by the gradients, on several threads at once. What becomes of an element must
  /// not depend on how parameters are cut into parts.
  virtual void update(const Part& part) = 0;

 private:
  using Slots = std::unordered_map<const ParameterData*, Slot>;
  Slot& slot_of(Slots& slots, const Parameter& p) const;
  /// Puts one named tensor of a saved state into its place; returns what is wrong with it, or nothing.
  std::string take(const Parameter& p, const std::string& field, const Tensor& value, Slots& slots) const;
  std::string hint(const std::map<std::string, Tensor>& state) const;
  GroupOptions group_of(const std::string& path) const;

  double learning_rate_;
  std::vector<StateField> fields_;
  StepCount count_;
  std::vector<std::pair<std::string, GroupOptions>> groups_;
  Slots slots_;
  std::vector<Slot*> order_;  // by entry of the last steps' gradients, which mostly come in one order
  std::vector<Part> parts_;   // of the step that runs: every parameter
  Slices slices_;
};

}  // namespace tapegrad::optim
