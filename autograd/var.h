/// Handles of recorded values.
#pragma once
#include <initializer_list>
#include <span>

#include "memory/scratch.h"
#include "tensor/tensor.h"

namespace tapegrad {

class Tape;
class Gradients;
struct ReduceOptions;

/// A value recorded on a tape: a small handle, free to copy. It never owns; any use after `reset()`, after
/// the tape is gone or together with another tape's values throws.
class Var {
 public:
  Var() = default;
  Var(const HandleId& handle, std::uint32_t output) : id_(handle), output_(output) {}

  /// The value, read-only, in the tape's arena.
  Tensor value() const;
  const Shape& shape() const;
  DType dtype() const;
  int rank() const { return shape().rank(); }
  Index size() const { return shape().size(); }
  /// The only element.
  double item() const { return value().item(); }
  /// Returns true when gradients flow into this value.
  bool needs_grad() const;
  /// x[i] along the first axis, which is dropped; -1 is the last.
  Var operator[](Index i) const;
  /// x[begin : end] along the first axis: `x[{1, 3}]`, `x[{.begin = -2}]`. `slice` cuts several axes.
  Var operator[](const IndexRange& range) const;

  /// The op of this name: `x.sum(-1)` is `sum(x, -1)`.
  Var sum() const;
  Var sum(int axis) const;
  Var sum(const ReduceOptions& options) const;
  Var mean() const;
  Var mean(int axis) const;
  Var mean(const ReduceOptions& options) const;
  Var reshape(std::initializer_list<Index> extents) const;
  Var transpose(int a = -2, int b = -1) const;

  /// `tape().backward(*this)`. The gradients are the result; nothing is stored in a Var or a Parameter.
  [[nodiscard("the gradients are the result: const Gradients g = loss.backward()")]] Gradients backward()
      const;

  Tape& tape() const;
  /// The tape, or an Error that names `op` when this handle is empty or stale.
  Tape& tape(std::string_view op) const;
  template <class Op>
  requires requires(const Op& op) { op.name(); }
  Tape& tape(const Op& op) const;

  explicit operator bool() const { return id_.slot != nullptr; }
  const HandleId& id() const { return id_; }
  std::uint32_t output() const { return output_; }

 private:
  bool usable() const;
  [[noreturn]] void throw_unusable(std::string_view op) const;

  HandleId id_;
  std::uint32_t output_ = 0;
};

/// Returns true when two handles name one recorded value.
inline bool same_value(const Var& a, const Var& b) {
  return a.id().slot == b.id().slot && a.id().serial == b.id().serial && a.output() == b.output();
}

/// A few Vars, without an allocation up to `inline_capacity`.
class VarList {
 public:
  static constexpr std::size_t inline_capacity = 6;

  VarList() = default;
  VarList(std::initializer_list<Var> vars) {
    for (const Var& v : vars) push_back(v);
  }
  explicit VarList(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) push_back({});
  }
  void push_back(const Var& v) {
    if (size_ < inline_capacity) {
      few_[size_++] = v;
      return;
    }
    if (size_ == inline_capacity) many_.assign(few_, few_ + size_);
    many_.push_back(v);
    ++size_;
  }
  std::size_t size() const { return size_; }
  Var* begin() { return size_ <= inline_capacity ? few_ : many_.data(); }
  const Var* begin() const { return size_ <= inline_capacity ? few_ : many_.data(); }
  const Var* end() const { return begin() + size_; }
  Var& operator[](std::size_t i) { return begin()[i]; }
  const Var& operator[](std::size_t i) const { return begin()[i]; }

 private:
  Var few_[inline_capacity];
  ScratchVector<Var> many_;
  std::size_t size_ = 0;
};

}  // namespace tapegrad

/// Prints what its value prints.
template <>
struct fmt::formatter<tapegrad::Var> : fmt::formatter<tapegrad::Tensor> {
  auto format(const tapegrad::Var& x, format_context& context) const {
    return fmt::formatter<tapegrad::Tensor>::format(x.value(), context);
  }
};
