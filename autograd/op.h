/// The interface of an operation. A `Primitive` has a forward and a pullback written in ops; a `Fused` op has
/// a kernel and a definition in other ops.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <type_traits>

#include "attributes.h"
#include "base/source_location.h"
#include "op_args.h"

namespace tapegrad {

struct Formula;

/// An operation with its attributes. The tape keeps it to walk it back and to run it again. Derive from
/// Primitive or Fused. Attributes must be trivially destructible, as the arena runs no destructors: numbers,
/// Shapes, RandomKeys, and arrays that `Tape::copy_to_arena` copied into the arena.
class Op {
 public:
  virtual const char* name() const = 0;
  /// The formula that dumps, steps and the explorer show.
  virtual Formula formula() const = 0;
  /// Appends the attributes that a dump shows beside the inputs: axes, factors, masks.
  virtual void attributes(Attributes&) const {}
  /// Approximate floating-point operations of `forward`, such as 2 m n k for a product [m, k] [k, n]; by
  /// default one for each visible element.
  virtual double flops(Views inputs, Views outputs) const {
    static_cast<void>(inputs);
    double count = 0;
    for (int k = 0; k < this->outputs(); ++k)
      count += static_cast<double>(outputs[static_cast<std::size_t>(k)].size());
    return count;
  }
  /// Number of visible results; `saved()` more are kept for the backward pass only.
  virtual int outputs() const { return 1; }
  virtual int saved() const { return 0; }
  /// True for a result whose cotangent `backward` completes in place: the result is an intermediate of the op
  /// on the way to another one, so readers of the result contribute only a part. Its cotangent always has
  /// memory.
  virtual bool accumulates_into_output_grad(int output) const { return static_cast<void>(output), false; }
  /// Shape of result `output` (saved ones follow the visible ones). Throws Error when the inputs do not fit.
  virtual Shape shape(Views inputs, int output) const = 0;
  /// Computes all results; every element of `outputs` must be written.
  virtual void forward(Views inputs, Views outputs) const = 0;
  /// Raw backward: adds to `dinputs`, or writes them where they are uninitialized. Called only when
  /// `has_backward()`.
  virtual void backward(const BackwardArgs&) const {}
  virtual bool has_backward() const = 0;
  /// The range of dinputs[input] that `backward` writes when it is uninitialized; `backward` then leaves the
  /// rest untouched. Empty by default: the buffer is filled with zeros before the call.
  virtual Range writable_range(std::size_t input, Views inputs, Views outputs) const {
    return static_cast<void>(input), static_cast<void>(inputs), static_cast<void>(outputs), nothing;
  }
  /// True when the gradient of `input` is the cotangent of the only result, element by element. A pass may
  /// then move that cotangent's memory to the input when nothing else reads it, and leave dinputs[input]
  /// empty.
  virtual bool is_identity_pullback(std::size_t input, Views inputs, Views outputs) const {
    return static_cast<void>(input), static_cast<void>(inputs), static_cast<void>(outputs), false;
  }
  /// Gradients of the inputs, written in ops, so that they can be differentiated again.
  virtual VarList pullback(const PullbackArgs&) const = 0;
  virtual bool is_primitive() const = 0;
  /// True for a checkpoint that recorded and dropped the value with this serial.
  virtual bool dropped(std::uint64_t serial) const { return static_cast<void>(serial), false; }
  /// False when no gradient flows from the results to the inputs; the results then count as constants.
  virtual bool differentiable() const { return true; }

 protected:
  Op() = default;
  Op(const Op&) = default;
  Op& operator=(const Op&) = default;
  ~Op() = default;
};

/// An op without a definition in other ops: a forward, and a pullback written in ops (an empty Var for an
/// input without a gradient). It may add a raw backward for speed.
class Primitive : public Op {
 public:
  bool has_backward() const override { return false; }
  bool is_primitive() const final { return true; }

 protected:
  ~Primitive() = default;
};

/// A layer that a composite op stands for: the path that its nodes carry when it is recorded by itself, and
/// the number of its result among those of the op (`inside` when the result stays in the kernel).
struct Part {
  static constexpr int inside = -1;
  const std::string* path;
  int result = inside;
};

/// An op with a *definition* in other ops and a fused kernel, forward and backward, that computes the values
/// of the definition. A tape with `.fused = false` records the definition instead, and so does a backward
/// pass that must be differentiated again.
///
/// A *composite* (`static constexpr bool composite = true;`) is made of fused ops that are worth seeing one
/// by one. Its parts are recorded by a tape with `.show_parts`, and by every tape on which an observer waits
/// for the result of a part that stays in the kernel. The kernel's node carries the path of the first part.
class Fused : public Op {
 public:
  bool has_backward() const override { return true; }
  bool is_primitive() const final { return false; }
  VarList pullback(const PullbackArgs&) const final { return {}; }
  /// The visible results, in primitive ops; for a composite, in the ops that it is made of.
  virtual VarList define(std::span<const Var> inputs) const = 0;
  virtual std::span<const Part> parts() const { return {}; }

 protected:
  ~Fused() = default;
};

/// The forward and backward formula of an op in one line, `y = a b;  da = dy b', db = a' dy`, and the place
/// in the sources where it is written.
struct Formula {
  constexpr Formula(const char* formula, SourceLocation at = SourceLocation::current())
      : text(formula), where(at) {}
  const char* text;
  SourceLocation where;
};

/// The size, the clone function and the overridden functions of an op's type.
struct OpType {
  std::size_t bytes;
  const Op* (*clone)(const Op& op, void* at);
  bool writable_range, is_identity_pullback,
      accumulates_into_output_grad;  // true when the type overrides the function of this name

  template <class O>
  static const OpType& of() {
    static_assert(std::is_trivially_destructible_v<O>,
                  "an op's attributes live in an arena: keep arrays with Tape::copy_to_arena");
    static_assert(alignof(O) <= 16);
    static constexpr OpType type{
        sizeof(O), [](const Op& op, void* at) -> const Op* { return new (at) O(static_cast<const O&>(op)); },
        !std::is_same_v<decltype(&O::writable_range), decltype(&Op::writable_range)>,
        !std::is_same_v<decltype(&O::is_identity_pullback), decltype(&Op::is_identity_pullback)>,
        !std::is_same_v<decltype(&O::accumulates_into_output_grad),
                        decltype(&Op::accumulates_into_output_grad)>};
    return type;
  }
};

/// Properties of one op, read without virtual calls.
struct OpTraits {
  std::uint32_t outputs;  // visible and saved
  bool differentiable, has_backward;

  template <class O>
  static OpTraits of(const O& op) {
    return {static_cast<std::uint32_t>(op.O::outputs() + op.O::saved()), op.O::differentiable(),
            op.O::has_backward()};
  }
};

}  // namespace tapegrad
