#include "compare.h"

#include "../tensor/broadcast.h"
#include "arithmetic.h"
#include "typed.h"

namespace tapegrad {
namespace {

template <class F>
BoolTensor compare(const char* op, const Var& a, const Var& b, F holds) {
  const bool together = &a.tape(op) == &b.tape(op);
  expects(together, "{}: operands of shapes {} and {} were recorded on two tapes", op, a.shape(), b.shape());
  const TensorView left = a.value().view(), right = b.value().view();
  Shape shape;
  expects(broadcast(left.shape, right.shape, shape),
          "{}: shapes {} and {} do not broadcast; aligned at the last axis, extents must be equal or 1", op,
          left.shape, right.shape);
  Tensor result(shape, DType::boolean);
  std::uint8_t* c = result.data<std::uint8_t>();
  dispatch(left.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *x = left.data<T>(), *y = right.data<T>();
    for_each_run(shape, left.shape, right.shape,
                 [&](Index at, Index x_at, Index y_at, Index n, Index dx, Index dy) {
                   for (Index i = 0; i < n; ++i) c[at + i] = holds(x[x_at + i * dx], y[y_at + i * dy]);
                 });
  });
  return BoolTensor(result);
}

void check_boolean(const char* op, const char* argument, const Tensor& mask) {
  expects(mask.dtype() == DType::boolean,
          "{}: {} must be boolean, got {} of shape {}; comparisons such as greater(a, b) make one", op,
          argument, dtype_name(mask.dtype()), mask.shape());
}

struct Where final : Typed<Where> {
  TensorView condition;
  explicit Where(const TensorView& chosen) : condition(chosen) {}
  const char* name() const override { return "where"; }
  Formula formula() const override {
    return "c = condition ? a : b;  da = condition ? dc : 0, db = condition ? 0 : dc";
  }

  static Shape checked_shape(const Shape& condition, const Shape& a, const Shape& b) {
    Shape both, all;
    expects(broadcast(a, b, both) && broadcast(condition, both, all),
            "where: condition {}, a {} and b {} do not broadcast; aligned at the last axis, extents must be "
            "equal or 1",
            condition, a, b);
    return all;
  }
  Shape shape(Views in, int) const override {
    return checked_shape(condition.shape, in[0].shape, in[1].shape);
  }

  /// Runs f(element of the result, element of `x`) where the condition is `side`.
  template <class F>
  void at_chosen(const Shape& result, const Shape& x, bool side, F f) const {
    const std::uint8_t* chosen = condition.data<std::uint8_t>();
    for_each_run(result, x, condition.shape,
                 [&](Index at, Index x_at, Index c_at, Index n, Index x_step, Index c_step) {
                   for (Index i = 0; i < n; ++i)
                     if ((chosen[c_at + i * c_step] != 0) == side) f(at + i, x_at + i * x_step);
                 });
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    T* c = out[0];
    for (const bool side : {true, false}) {
      const std::size_t i = side ? 0 : 1;
      const T* x = in[i];
      at_chosen(out.shape(), in.shape(i), side, [=](Index at, Index x_at) { c[at] = x[x_at]; });
    }
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T* dc = g.dy();
    for (const bool side : {true, false}) {
      const std::size_t i = side ? 0 : 1;
      T* dx = g.dx(i);
      if (dx == nullptr) continue;
      at_chosen(g.y_shape(), g.x_shape(i), side, [=](Index at, Index x_at) { dx[x_at] += dc[at]; });
    }
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    const Var none = dc.tape().full({}, 0);
    return {p.needs[0] ? sum_to(apply(*this, {dc, none}), a.shape()) : Var(),
            p.needs[1] ? sum_to(apply(*this, {none, dc}), b.shape()) : Var()};
  }
};

struct MaskedFill final : Typed<MaskedFill> {
  TensorView mask;
  double value;
  MaskedFill(const TensorView& filled, double number) : mask(filled), value(number) {}
  const char* name() const override { return "masked_fill"; }
  Formula formula() const override { return "y = mask ? value : x;  dx = mask ? 0 : dy"; }
  void attributes(Attributes& a) const override {
    put(a, "value", value), put(a, "mask_shape", fmt::format("{}", mask.shape));
  }

  static Shape checked_shape(const Shape& mask, const Shape& x) {
    Shape result;
    expects(broadcast(mask, x, result) && result == x,
            "masked_fill: mask of shape {} does not broadcast to x {}", mask, x);
    return x;
  }
  Shape shape(Views in, int) const override { return checked_shape(mask.shape, in[0].shape); }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const std::uint8_t* filled = mask.data<std::uint8_t>();
    const T *x = in[0], v = static_cast<T>(value);
    T* y = out[0];
    for_each_run(out.shape(), mask.shape, mask.shape,
                 [&](Index at, Index m_at, Index, Index n, Index step, Index) {
                   for (Index i = at; i < at + n; ++i, m_at += step) y[i] = filled[m_at] != 0 ? v : x[i];
                 });
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const std::uint8_t* filled = mask.data<std::uint8_t>();
    const T* dy = g.dy();
    T* dx = g.dx();
    for_each_run(g.y_shape(), mask.shape, mask.shape,
                 [&](Index at, Index m_at, Index, Index n, Index step, Index) {
                   for (Index i = at; i < at + n; ++i, m_at += step)
                     dx[i] += filled[m_at] != 0 ? T(0) : dy[i];
                 });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {apply(MaskedFill(mask, 0), {p.cotangents[0]})};
  }
};

}  // namespace

BoolTensor equal(const Var& a, const Var& b) {
  return compare("equal", a, b, [](auto x, auto y) { return x == y; });
}
BoolTensor not_equal(const Var& a, const Var& b) {
  return compare("not_equal", a, b, [](auto x, auto y) { return x != y; });
}
BoolTensor less(const Var& a, const Var& b) {
  return compare("less", a, b, [](auto x, auto y) { return x < y; });
}
BoolTensor less_equal(const Var& a, const Var& b) {
  return compare("less_equal", a, b, [](auto x, auto y) { return x <= y; });
}
BoolTensor greater(const Var& a, const Var& b) {
  return compare("greater", a, b, [](auto x, auto y) { return x > y; });
}
BoolTensor greater_equal(const Var& a, const Var& b) {
  return compare("greater_equal", a, b, [](auto x, auto y) { return x >= y; });
}

BoolTensor::operator bool() const {
  expects(
      size() == 1,
      "comparison: the truth value of {} elements of shape {} is ambiguous; reduce the operands to scalars",
      size(), shape());
  return item() != 0;
}

Var where(const Tensor& condition, const Var& a, const Var& b) {
  Tape& tape = a.tape("where");
  b.tape("where");
  check_boolean("where", "condition", condition);
  Where::checked_shape(condition.shape(), a.shape(), b.shape());
  return tape.with_rollback([&] { return apply(Where(tape.copy_to_arena(condition)), {a, b}); });
}
Var masked_fill(const Var& x, const Tensor& mask, double value) {
  Tape& tape = x.tape("masked_fill");
  check_boolean("masked_fill", "mask", mask);
  MaskedFill::checked_shape(mask.shape(), x.shape());
  return tape.with_rollback([&] { return apply(MaskedFill(tape.copy_to_arena(mask), value), {x}); });
}

}  // namespace tapegrad
