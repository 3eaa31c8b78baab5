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

/// How much of the gradients is checked by finite differences when a recording is taken down.
enum class Numeric {
  none,
  sampled,  ///< all elements of watched values and of small leaves; a few of any other value
  all,
};

/// What a rule adds to the gradient of one of its inputs.
struct RecordedPart {
  std::uint32_t input;  ///< position among the inputs
  std::uint32_t to;     ///< the value that it is the gradient of
  Shape shape;
  std::vector<double> values;
};

/// Gradients by finite differences, at `cells` or, when that is empty, everywhere; NaN at a kink.
struct RecordedCheck {
  std::vector<Index> cells;
  std::vector<double> values;
  double absolute = 0, relative = 0;  ///< worst error; relative to the larger of both and 1e-3
  Index cell = 0;                     ///< where the relative one is; 0 when there is none
  double tolerance = 1e-6;            ///< 1e-3 for a recording in f32
  bool passed() const { return relative <= tolerance; }
};

/// One recorded value: what it is, where it came from, its gradient and where that came from.
///
/// Every leaf and every result that users see is one; what an op keeps for its rule is none. An op of several
/// results makes several values, which share op, inputs and rule; what belongs to the op as a whole (`sent`,
/// times, FLOPs) stands with one of them alone: the first that a gradient reaches, or else the first. The
/// parts sent to a value sum to its gradient, but for the loss and for a result inside of an op
/// (Op::completes), which its own op adds to.
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
  std::vector<double> value, gradient;     ///< no gradient: nothing flows here
  std::vector<RecordedPart> sent;          ///< by this value's rule, to its inputs
  RecordedCheck check;                     ///< empty when nothing was checked
  double forward_ns = 0, backward_ns = 0;  ///< 0 unless measured
  double flops = 0;                        ///< of the forward, see Op::flops
  std::uint64_t version = 0;               ///< of the parameter, for a parameter's leaf
  bool parameter = false;
  enum class NonFinite { none, value, gradient } non_finite = NonFinite::none;

  bool leaf() const { return rule.empty(); }
  /// What dumps call it: `module.label`, a parameter's path, or else the path of the layer that ran it.
  std::string name() const;
};

/// A recording and one backward pass over it, taken down in plain memory: what dumps, traces, comparisons and
/// the explorer's page are written from. It outlives the tape.
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
  /// Ids of values whose gradients `Numeric::sampled` checks at every element. Asked when all else is taken
  /// down.
  std::function<std::vector<std::uint32_t>(const TapeRecord&)> watch = {};
  /// As StepOptions::intervene: changes what rules send. Numerical checks then tell which rule is broken.
  std::function<void(Step&)> intervene = {};
};

/// Walks back from `loss` step by step and takes everything down that was recorded up to it. The gradients
/// are those of `tape.backward(loss)`, bit for bit (without `intervene`). Taps that were collected name their
/// values. A gradient for whose check a checkpoint would have to run stays unchecked. The tape is as before,
/// and no gradient hook runs. Throws what `backward_steps` throws.
TapeRecord record(const Var& loss, const RecordOptions& options = {});

/// `autograd/ops/matmul.cpp:41`: a file of this source tree from its top, of another the name alone.
std::string source_place(const SourceLocation& where);

}  // namespace tapegrad
