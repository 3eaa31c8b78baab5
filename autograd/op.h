/// The interface of an operation. A `Primitive` has a forward and a pullback written in ops; a `Fused` op has
/// a kernel and a definition in other ops.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "attributes.h"
#include "base/source_location.h"
#include "memory/scratch.h"
#include "var.h"

namespace tapegrad {

/// Small-buffer array, one T per operand; spills to scratch beyond six.
template <class T>
class CallBuffer {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  explicit CallBuffer(std::size_t capacity) : capacity_(capacity) {
    at_ = reinterpret_cast<T*>(capacity > few ? take_scratch(capacity * sizeof(T)) : bytes_);
  }
  ~CallBuffer() {
    if (capacity_ > few) [[unlikely]]
      give_scratch(at_, capacity_ * sizeof(T));
  }
  CallBuffer(const CallBuffer&) = delete;
  CallBuffer& operator=(const CallBuffer&) = delete;
  void put(std::size_t i, const T& value) { new (at_ + i) T(value); }
  T* data() { return at_; }

 private:
  static constexpr std::size_t few = 6;
  alignas(T) std::byte bytes_[few * sizeof(T)];
  std::size_t capacity_;
  T* at_;
};

/// The values of an op's inputs or outputs, by position. They stay where they were recorded.
class Views {
 public:
  class Iterator {
   public:
    using value_type = TensorView;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using pointer = const TensorView*;
    using reference = const TensorView&;

    explicit Iterator(const TensorView* const* at) : at_(at) {}
    const TensorView& operator*() const { return **at_; }
    const TensorView* operator->() const { return *at_; }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return Iterator(at_++); }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const TensorView* const* at_;
  };

  Views(const TensorView* const* views, std::size_t size) : views_(views), size_(size) {}
  const TensorView& operator[](std::size_t i) const { return *views_[i]; }
  const TensorView& front() const { return *views_[0]; }
  const TensorView& back() const { return *views_[size_ - 1]; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return Iterator(views_); }
  Iterator end() const { return Iterator(views_ + size_); }

 private:
  const TensorView* const* views_;
  std::size_t size_;
};
using CotangentViews = std::span<const CotangentView>;

/// A list that owns its views, for code that runs an op by hand.
class ViewList {
 public:
  ViewList() = default;
  ViewList(const ViewList&) = delete;
  ViewList& operator=(const ViewList&) = delete;
  TensorView& push_back(const TensorView& view) {
    at_.push_back(&views_.emplace_back(view));
    return views_.back();
  }
  const TensorView& operator[](std::size_t i) const { return views_[i]; }
  std::size_t size() const { return views_.size(); }
  operator Views() const { return {at_.data(), at_.size()}; }

 private:
  std::deque<TensorView> views_;
  std::vector<const TensorView*> at_;
};

/// Elements [begin, end) of an array in row-major order; `end` may exceed the array's size.
struct Range {
  Index begin = 0, end = 0;
  bool empty() const { return begin >= end; }
};
inline constexpr Range nothing{}, everything{0, INT64_MAX};

/// The set of inputs whose gradient buffer holds nothing yet.
class UninitializedInputs {
 public:
  static constexpr std::size_t most = 64;  // inputs behind these are never uninitialized
  bool operator[](std::size_t input) const { return input < most && (bits_ >> input & 1) != 0; }
  void add(std::size_t input) { bits_ |= std::uint64_t{1} << input; }

 private:
  std::uint64_t bits_ = 0;
};

/// Arguments of a raw backward. `dinputs[i]` is the gradient buffer of input i, to add to (empty when that
/// input needs no gradient); `doutputs[k]` is the cotangent of result k (empty when none arrived). Where
/// `uninitialized[i]`, the op's `writable_range` of dinputs[i] is uninitialized memory: the op writes every
/// element of it and reads none. An uninitialized buffer never overlaps another one.
struct BackwardArgs {
  Views inputs, outputs;
  CotangentViews dinputs, doutputs;
  UninitializedInputs uninitialized = {};
};

/// Arguments of a pullback written in ops: the recorded inputs and outputs, and the cotangents of the outputs
/// (an empty Var where none arrived). `needs[i]` is true when the gradient of input i is needed.
struct PullbackArgs {
  std::span<const Var> inputs, outputs, cotangents;
  std::span<const bool> needs;
};

/// The forward and backward formula of an op in one line, `y = a b;  da = dy b', db = a' dy`, and the place
/// in the sources where it is written.
struct Formula {
  constexpr Formula(const char* formula, SourceLocation at = SourceLocation::current())
      : text(formula), where(at) {}
  const char* text;
  SourceLocation where;
};

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

}  // namespace tapegrad
