/// The arguments that the functions of an op (op.h) get: values (`Views`), gradient buffers
/// (`CotangentViews`), and the arguments of a raw backward and of a pullback (`BackwardArgs`,
/// `PullbackArgs`).
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "memory/scratch.h"
#include "var.h"

namespace tapegrad {

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

}  // namespace tapegrad
