#include "compare.h"

#include "../gradcheck/samples.h"
#include "../tensor/broadcast.h"
#include "arithmetic.h"

namespace tapegrad {
namespace {

template <class F>
Tensor compare(const char* op, const Var& a, const Var& b, F holds) {
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
  return result;
}

void check_boolean(const char* op, const char* argument, const Tensor& mask) {
  expects(mask.dtype() == DType::boolean,
          "{}: {} must be boolean, got {} of shape {}; comparisons such as greater(a, b) make one", op,
          argument, dtype_name(mask.dtype()), mask.shape());
}

struct Where final : Primitive {
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
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      T* c = out[0].data<T>();
      for (const bool side : {true, false}) {
        const TensorView& view = in[side ? 0 : 1];
        const T* x = view.data<T>();
        at_chosen(out[0].shape, view.shape, side, [=](Index at, Index x_at) { c[at] = x[x_at]; });
      }
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* dc = args.doutputs[0].data<T>();
      for (const bool side : {true, false}) {
        const TensorView& view = args.dinputs[side ? 0 : 1];
        if (!view) continue;
        T* dx = view.data<T>();
        at_chosen(args.outputs[0].shape, view.shape, side, [=](Index at, Index x_at) { dx[x_at] += dc[at]; });
      }
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    const Var none = dc.tape().full({}, 0);
    return {p.needs[0] ? sum_to(apply(*this, {dc, none}), a.shape()) : Var(),
            p.needs[1] ? sum_to(apply(*this, {none, dc}), b.shape()) : Var()};
  }
};

struct MaskedFill final : Primitive {
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

  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const std::uint8_t* filled = mask.data<std::uint8_t>();
      const T *x = in[0].data<T>(), v = static_cast<T>(value);
      T* y = out[0].data<T>();
      for_each_run(out[0].shape, mask.shape, mask.shape,
                   [&](Index at, Index m_at, Index, Index n, Index step, Index) {
                     for (Index i = at; i < at + n; ++i, m_at += step) y[i] = filled[m_at] != 0 ? v : x[i];
                   });
    });
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const std::uint8_t* filled = mask.data<std::uint8_t>();
      const T* dy = args.doutputs[0].data<T>();
      T* dx = args.dinputs[0].data<T>();
      for_each_run(args.outputs[0].shape, mask.shape, mask.shape,
                   [&](Index at, Index m_at, Index, Index n, Index step, Index) {
                     for (Index i = at; i < at + n; ++i, m_at += step)
                       dx[i] += filled[m_at] != 0 ? T(0) : dy[i];
                   });
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {apply(MaskedFill(mask, 0), {p.cotangents[0]})};
  }
};

}  // namespace

Tensor equal(const Var& a, const Var& b) {
  return compare("equal", a, b, [](auto x, auto y) { return x == y; });
}
Tensor not_equal(const Var& a, const Var& b) {
  return compare("not_equal", a, b, [](auto x, auto y) { return x != y; });
}
Tensor less(const Var& a, const Var& b) {
  return compare("less", a, b, [](auto x, auto y) { return x < y; });
}
Tensor less_equal(const Var& a, const Var& b) {
  return compare("less_equal", a, b, [](auto x, auto y) { return x <= y; });
}
Tensor greater(const Var& a, const Var& b) {
  return compare("greater", a, b, [](auto x, auto y) { return x > y; });
}
Tensor greater_equal(const Var& a, const Var& b) {
  return compare("greater_equal", a, b, [](auto x, auto y) { return x >= y; });
}

Comparison::operator bool() const {
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
  return tape.attempt([&] { return apply(Where(tape.keep(condition)), {a, b}); });
}
Var masked_fill(const Var& x, const Tensor& mask, double value) {
  Tape& tape = x.tape("masked_fill");
  check_boolean("masked_fill", "mask", mask);
  MaskedFill::checked_shape(mask.shape(), x.shape());
  return tape.attempt([&] { return apply(MaskedFill(tape.keep(mask), value), {x}); });
}

namespace {

Tensor sample_mask(const Shape& shape) {
  const Tensor values = sample_values(shape, -1, 1, 23);
  Tensor mask(shape, DType::boolean);
  for (Index i = 0; i < mask.size(); ++i) mask.data<std::uint8_t>()[i] = values.data<double>()[i] < 0;
  return mask;
}

Sample where_sample(const char* label, const Shape& condition, const Shape& a, const Shape& b,
                    double scale = 1) {
  const Tensor mask = sample_mask(condition);
  const auto call = [mask](const std::vector<Var>& in) { return where(mask, in[0], in[1]); };
  return {label,
          {sample_values(a, -scale, scale, 21), sample_values(b, -scale, scale, 22)},
          call,
          "torch.where(mask, a, b)",
          {{"mask", mask}}};
}

const OpSamples where_samples("where", [] {
  const Tensor mask = sample_mask({2, 3});
  const auto repeated = [mask](const std::vector<Var>& in) { return where(mask, in[0] * in[0], in[0]); };
  return std::vector<Sample>{
      where_sample("equal shapes", {3, 4}, {3, 4}, {3, 4}),
      where_sample("broadcast condition", {3, 1}, {3, 4}, {2, 3, 4}),
      where_sample("condition widens", {2, 3, 4}, {4}, {3, 1}),
      where_sample("all broadcast", {3, 1, 1}, {2, 1}, {1, 4}),
      where_sample("rank 0", {}, {}, {}),
      where_sample("rank 0 against matrix", {2, 3}, {}, {2, 3}),
      where_sample("size-0 dimension", {1}, {2, 0}, {1, 0}),
      where_sample("large magnitude", {2, 3}, {2, 3}, {2, 3}, 1e3),
      where_sample("small magnitude", {2, 3}, {2, 3}, {2, 3}, 1e-2),
      {"repeated input", {sample_values({2, 3})}, repeated, "torch.where(mask, a * a, a)", {{"mask", mask}}},
  };
});

Sample fill_sample(const char* label, const Shape& mask, const Shape& x, double scale = 1) {
  const Tensor filled = sample_mask(mask);
  const auto call = [filled](const std::vector<Var>& in) { return masked_fill(in[0], filled, -1.5); };
  return {
      label, {sample_values(x, -scale, scale, 24)}, call, "a.masked_fill(mask, -1.5)", {{"mask", filled}}};
}

const OpSamples masked_fill_samples("masked_fill", [] {
  const Tensor mask = sample_mask({2, 3});
  const auto repeated = [mask](const std::vector<Var>& in) { return masked_fill(in[0], mask, 2) * in[0]; };
  return std::vector<Sample>{
      fill_sample("equal shapes", {3, 4}, {3, 4}),
      fill_sample("row mask", {4}, {2, 3, 4}),
      fill_sample("column mask", {3, 1}, {2, 3, 4}),
      fill_sample("size-1 dimension", {4}, {3, 1, 4}),
      fill_sample("rank 0", {}, {}),
      fill_sample("rank-0 mask", {}, {2, 3}),
      fill_sample("size-0 dimension", {2, 1}, {2, 0}),
      fill_sample("large magnitude", {2, 3}, {2, 3}, 1e3),
      fill_sample("small magnitude", {2, 3}, {2, 3}, 1e-2),
      {"repeated input", {sample_values({2, 3})}, repeated, "a.masked_fill(mask, 2) * a", {{"mask", mask}}},
  };
});

}  // namespace
}  // namespace tapegrad
