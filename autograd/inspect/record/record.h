/// Captures a recorded computation and its backward pass as plain data (`record`): the source of dumps,
/// traces, comparisons and the explorer's page.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../../attributes.h"
#include "../../backward/steps.h"
#include "../../base/source_location.h"

namespace tapegrad {

/// The share of the gradients that a recording checks by finite differences.
enum class Numeric {
  none,
  sampled,  ///< all elements of watched values and of small leaves; a few of every other value
  all,
};

/// The contribution of one backward rule to the gradient of one of its inputs.
struct RecordedPart {
  std::uint32_t input;  ///< position among the inputs
  std::uint32_t to;     ///< id of the input's value
  Shape shape;
  std::vector<double> values;
};

/// Gradients by finite differences, at `cells` or, when that is empty, everywhere; NaN at a kink.
struct RecordedCheck {
  std::vector<Index> cells;
  std::vector<double> values;
  double absolute = 0, relative = 0;  ///< worst error; relative to the larger of both and 1e-3
  Index cell = 0;                     ///< element of the relative error; 0 when there is none
  double tolerance = 1e-6;            ///< 1e-3 for a recording in f32
  bool passed() const { return relative <= tolerance; }
};

/// One recorded value with its op, inputs and gradient, and the contributions that its rule sends to its
/// inputs.
///
/// Every leaf and every visible result is a RecordedValue; arrays that an op saves for its rule are not. An
/// op with several results makes several values, which share op, inputs and rule; the data of the op as a
/// whole (`input_grads`, times, FLOPs) is stored with one of them, the first that a gradient reaches or else
/// the first. The parts sent to a value sum to its gradient, except for the loss and for a result whose own
/// op adds to its gradient (Op::accumulates_into_output_grad).
struct RecordedValue {
  std::uint32_t id = 0;  ///< its place in TapeRecord::values
  std::string op;        ///< `parameter`, `variable` or `constant` for leaves
  std::string module;    ///< path of the layer that ran it or, with a label, under which it was tapped
  std::string label;     ///< the tap's name; a parameter's whole path
  std::string formula;
  std::string rule;                    ///< `file:line` of the backward rule; empty for leaves
  std::uint32_t node = 0, output = 0;  ///< place on the tape: `tape.handle(node, output)`
  Shape shape;
  std::vector<std::uint32_t> inputs;
  Attributes attributes;
  std::vector<double> value, gradient;     ///< an empty gradient: no gradient flows here
  std::vector<RecordedPart> input_grads;   ///< by this value's rule, to its inputs
  RecordedCheck check;                     ///< empty when nothing was checked
  double forward_ns = 0, backward_ns = 0;  ///< 0 unless measured
  double flops = 0;                        ///< of the forward, see Op::flops
  std::uint64_t version = 0;               ///< of the parameter, for a parameter's leaf
  bool parameter = false;
  enum class NonFinite { none, value, gradient } non_finite = NonFinite::none;

  bool leaf() const { return rule.empty(); }
  /// The name in dumps: `module.label`, a parameter's path, or else the path of the layer that ran the op.
  std::string name() const;
};

/// A recording and one backward pass over it in plain memory, independent of the tape's lifetime.
struct TapeRecord {
  DType dtype = DType::f64;
  std::uint64_t seed = 0;
  std::vector<RecordedValue> values;  ///< in the order of execution
  std::vector<std::uint32_t> order;   ///< values in the order in which the backward pass walked them
  std::uint32_t loss = 0;

  const RecordedValue& operator[](std::uint32_t id) const { return values[id]; }
  /// The value of this name, `module.label` or a parameter's path; throws when there is none.
  const RecordedValue& named(const std::string& name) const;
};

struct RecordOptions {
  Numeric numeric = Numeric::none;
  bool time = false;   ///< measure each op, forward and backward, by running it again
  Index small = 512;   ///< leaves of at most so many elements are checked at each, with Numeric::sampled
  Index samples = 16;  ///< elements checked of other values
  /// Returns the ids of values whose gradients `Numeric::sampled` checks at every element. Called after
  /// everything else is captured.
  std::function<std::vector<std::uint32_t>(const TapeRecord&)> watch = {};
  /// As StepOptions::intervene: changes the contributions of rules. Numerical checks then identify the broken
  /// rule.
  std::function<void(Step&)> intervene = {};
};

/// Walks back from `loss` step by step and captures everything that was recorded up to it. Without
/// `intervene` the gradients are those of `tape.backward(loss)`, bit for bit. Collected taps name their
/// values. A gradient whose check needs a checkpoint to run stays unchecked. The tape stays unchanged and no
/// gradient hook runs. Throws the errors of `backward_steps`.
TapeRecord record(const Var& loss, const RecordOptions& options = {});

/// Returns, for example, `autograd/ops/matmul.cpp:41`. The build compiles the library's sources with paths
/// from the root of its tree (-fmacro-prefix-map), and a path through `include/tapegrad/` loses what comes
/// before the header's own path. Any other path that is absolute or begins with a dot is shortened to the
/// file name, so that a place does not depend on the machine.
std::string source_place(const SourceLocation& where);

}  // namespace tapegrad
