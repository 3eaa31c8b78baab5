/// The base class of all optimizers: steps, learning rate, parameter groups and state.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "../autograd/gradients.h"
#include "../autograd/parallel/slices.h"

namespace tapegrad::optim {

/// The options of a group of parameters.
struct GroupOptions {
  double learning_rate_factor = 1;                    ///< multiplies the optimizer's learning rate
  std::optional<double> weight_decay = std::nullopt;  ///< overrides the optimizer's
};

/// The base of all optimizers: the learning rate, groups by path pattern, and state by parameter, saved and
/// loaded by name. `step` skips parameters that the loss did not reach and frozen ones.
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

  /// Updates every parameter in `gradients`, on the threads of the step that made them; elements are
  /// independent, so the number of threads changes no bit. Throws when the gradients are stale.
  void step(const Gradients& gradients);

  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double rate);
  /// Applies `options` to parameters whose path matches `pattern` (`*` stands for any characters); of several
  /// matches the last counts. Throws unless the factor and the decay are finite and not negative.
  void group(std::string pattern, const GroupOptions& options);

  /// The state by name, as in PyTorch: `<path>.exp_avg`, `<path>.step`, …
  std::map<std::string, Tensor> state() const;
  /// Restores a state that `state()` returned for parameters of these paths, or that PyTorch wrote under
  /// these names in any dtype; the present state is dropped. Throws one error that lists every unknown,
  /// missing, misshaped or wrong-typed tensor and every invalid step count; then nothing has changed.
  void load_state(const ParameterStore& params, const std::map<std::string, Tensor>& state);

 protected:
  struct Slot {
    Parameter parameter;
    GroupOptions group;
    std::vector<Tensor> tensors;  // in the order of the fields, made at the first step
    double steps = 0;
  };

  /// A range of elements of one parameter; parts may be updated in parallel.
  class Part {
   public:
    Part(const Slot& slot, const TensorView& value, const TensorView& gradient, double learning_rate)
        : slot_(&slot),
          value_(value),
          gradient_(gradient),
          size_(value.size()),
          steps_(slot.steps),
          rate_(learning_rate) {}
    /// The elements [begin, end) of this part.
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
    /// The state of the field with this number.
    template <class T>
    T* state(std::size_t field) const {
      return slot_->tensors[field].view().template data<T>() + begin_;
    }
    /// The number of steps, this one included.
    double steps() const { return steps_; }
    double learning_rate() const { return rate_; }
    double weight_decay(double otherwise) const { return slot_->group.weight_decay.value_or(otherwise); }

   private:
    const Slot* slot_;
    TensorView value_, gradient_;
    Index begin_ = 0, size_;
    double steps_;  // a copy: a parameter frozen and thawed has two gradients, and the slot counts on
    double rate_;
  };

  /// Tells whether a saved state must have `step`: optional for SGD, for which PyTorch writes none and which
  /// only needs to know that a step was made.
  enum class StepCount { required, optional };

  Optimizer(double learning_rate, std::vector<StateField> fields, StepCount count = StepCount::required);
  /// Updates values and state by the gradients; called on several threads at once. The result of an element
  /// must not depend on the cut of parameters into parts.
  virtual void update(const Part& part) = 0;

 private:
  using Slots = std::unordered_map<const ParameterData*, Slot>;
  Slot& slot_of(Slots& slots, const Parameter& p) const;
  /// Stores one named tensor of a saved state; returns the problem with it, or an empty text.
  std::string take(const Parameter& p, const std::string& field, const Tensor& value, Slots& slots) const;
  std::string hint(const std::map<std::string, Tensor>& state) const;
  GroupOptions group_of(const std::string& path) const;

  double learning_rate_;
  std::vector<StateField> fields_;
  StepCount count_;
  std::vector<std::pair<std::string, GroupOptions>> groups_;
  Slots slots_;
  std::vector<Slot*> order_;  // slots in the order of the last gradients, which rarely changes
  std::vector<Part> parts_;   // every parameter of the running step
  Slices slices_;
};

}  // namespace tapegrad::optim
