#include "arithmetic.h"

#include <algorithm>
#include <functional>

#include "../kernels/elementwise.h"
#include "../tensor/broadcast.h"
#include "compare.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// The base of the binary ops: the shape rule and the broadcasting loop over one scalar function.
template <class O>
class Broadcasting : public Typed<O> {
 public:
  Shape shape(Views in, int) const final {
    Shape result;
    expects(broadcast(in[0].shape, in[1].shape, result),
            "{}: shapes {} and {} do not broadcast; aligned at the last axis, extents must "
            "be equal or 1",
            this->name(), in[0].shape, in[1].shape);
    return result;
  }

 protected:
  ~Broadcasting() = default;

  template <class T, class F>
  static void map(Inputs<T> in, Outputs<T> out, F f) {
    const T *a = in[0], *b = in[1];
    T* c = out[0];
    for_each_run(out.shape(), in.shape(0), in.shape(1),
                 [&](Index c_at, Index a_at, Index b_at, Index n, Index da, Index db) {
                   if (da == 1 && db == 1)
                     for (Index i = 0; i < n; ++i) c[c_at + i] = f(a[a_at + i], b[b_at + i]);
                   else
                     for (Index i = 0; i < n; ++i) c[c_at + i] = f(a[a_at + i * da], b[b_at + i * db]);
                 });
  }
};

/// Those whose gradients are f(dc, a, b, c) of each element, summed where an operand was repeated.
template <class O>
class Arithmetic : public Broadcasting<O> {
 public:
  Range writable_range(std::size_t input, Views in, Views out) const final {
    return in[input].shape == out[0].shape ? everything : nothing;
  }

 protected:
  ~Arithmetic() = default;

  /// dinputs[input] += f(dc, a, b, c), or = where it is uninitialized.
  template <class T, class F>
  static void gather(RawBackward<T> g, std::size_t input, F f) {
    T* sum = g.dx(input);
    if (sum == nullptr) return;
    const T *x = g.x(input), *y = g.x(1 - input), *c = g.y(), *dc = g.dy();
    const bool uninitialized = g.uninitialized(input);
    const Shape &own = g.x_shape(input), &other = g.x_shape(1 - input);
    for_each_run(g.y_shape(), own, other,
                 [&](Index at, Index x_at, Index y_at, Index n, Index x_step, Index y_step) {
                   const auto value = [&](Index i, Index from_x, Index from_y) {
                     return f(dc[at + i], x[x_at + from_x], y[y_at + from_y], c[at + i]);
                   };
                   T* to = sum + x_at;
                   if (uninitialized && x_step == 1 && y_step == 1)
                     for (Index i = 0; i < n; ++i) to[i] = T(0) + value(i, i, i);
                   else if (uninitialized)
                     for (Index i = 0; i < n; ++i) to[i] = T(0) + value(i, i, i * y_step);
                   else
                     for (Index i = 0; i < n; ++i) to[i * x_step] += value(i, i * x_step, i * y_step);
                 });
  }
};

struct Add final : Broadcasting<Add> {
  const char* name() const override { return "add"; }
  Formula formula() const override { return "c = a + b;  da = dc, db = dc"; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    if (in.shape(0) == in.shape(1))
      kernels::add(in[0], in[1], out[0], out.size());
    else
      map(in, out, [](auto a, auto b) { return a + b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc, p.inputs[0].shape()) : Var(),
            p.needs[1] ? sum_to(dc, p.inputs[1].shape()) : Var()};
  }
  Range writable_range(std::size_t input, Views in, Views out) const override {
    return in[input].shape == out[0].shape ? everything : nothing;
  }
  bool is_identity_pullback(std::size_t input, Views in, Views out) const override {
    return in[input].shape == out[0].shape;
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T* dc = g.dy();
    for (std::size_t i = 0; i < 2; ++i) {
      T* d = g.dx(i);
      if (d == nullptr) continue;
      const Shape& own = g.x_shape(i);
      if (g.uninitialized(i))
        std::copy_n(dc, g.size(), d);
      else if (own == g.y_shape())
        kernels::add_into(d, dc, g.size());
      else
        for_each_run(g.y_shape(), own, own, [=](Index c_at, Index at, Index, Index n, Index step, Index) {
          for (Index k = 0; k < n; ++k) d[at + k * step] += dc[c_at + k];
        });
    }
  }
};

struct Sub final : Arithmetic<Sub> {
  const char* name() const override { return "sub"; }
  Formula formula() const override { return "c = a - b;  da = dc, db = -dc"; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    map(in, out, [](auto a, auto b) { return a - b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc, p.inputs[0].shape()) : Var(),
            p.needs[1] ? sum_to(-dc, p.inputs[1].shape()) : Var()};
  }
  bool is_identity_pullback(std::size_t input, Views in, Views out) const override {
    return input == 0 && in[0].shape == out[0].shape;
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    gather(g, 0, [](T dc, T, T, T) { return dc; });
    gather(g, 1, [](T dc, T, T, T) { return -dc; });
  }
};

struct Mul final : Arithmetic<Mul> {
  const char* name() const override { return "mul"; }
  Formula formula() const override { return "c = a * b;  da = dc * b, db = dc * a"; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    map(in, out, [](auto a, auto b) { return a * b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc * b, a.shape()) : Var(), p.needs[1] ? sum_to(dc * a, b.shape()) : Var()};
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    for (std::size_t i = 0; i < 2; ++i) gather(g, i, [](T dc, T, T other, T) { return dc * other; });
  }
};

struct Div final : Arithmetic<Div> {
  const char* name() const override { return "div"; }
  Formula formula() const override { return "c = a / b;  da = dc / b, db = -dc * c / b"; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    map(in, out, [](auto a, auto b) { return a / b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &c = p.outputs[0], &dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc / b, a.shape()) : Var(),
            p.needs[1] ? sum_to(-(dc * c / b), b.shape()) : Var()};
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    gather(g, 0, [](T dc, T, T b, T) { return dc / b; });
    gather(g, 1, [](T dc, T b, T, T c) { return -(dc * c / b); });
  }
};

/// max and min: the gradient follows the chosen operand, halved where none is (equal ones, as in PyTorch, and
/// NaN).
struct LargerOrSmaller final : Broadcasting<LargerOrSmaller> {
  bool largest;
  explicit LargerOrSmaller(bool max) : largest(max) {}
  const char* name() const override { return largest ? "maximum" : "minimum"; }
  Formula formula() const override {
    return "c = max(a, b) or min(a, b), NaN if one is;  the chosen operand gets dc, equal ones half each";
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    map(in, out, [this](auto a, auto b) {
      const bool first = largest ? a > b : a < b, second = largest ? b > a : b < a;
      return first ? a : second ? b : a == b ? a : a + b;  // one is NaN
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    Tape& tape = dc.tape();
    const Var one = tape.full({}, 1), half = tape.full({}, 0.5), none = tape.full({}, 0);
    const BoolTensor a_wins = largest ? greater(a, b) : less(a, b),
                     b_wins = largest ? less(a, b) : greater(a, b);
    const Var a_share = where(a_wins, one, where(b_wins, none, half));
    return {p.needs[0] ? sum_to(dc * a_share, a.shape()) : Var(),
            p.needs[1] ? sum_to(dc * (1 - a_share), b.shape()) : Var()};
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const T *a = g.x(), *b = g.x(1), *dc = g.dy();
    T *da = g.dx(), *db = g.dx(1);
    const auto run = [&](Index c_at, Index a_at, Index b_at, Index n, Index a_step, Index b_step) {
      for (Index i = 0; i < n; ++i) {
        const T x = a[a_at + i * a_step], y = b[b_at + i * b_step];
        const T a_share = (largest ? x > y : x < y) ? T(1) : (largest ? x < y : x > y) ? T(0) : T(0.5);
        if (da) da[a_at + i * a_step] += dc[c_at + i] * a_share;
        if (db) db[b_at + i * b_step] += dc[c_at + i] * (1 - a_share);
      }
    };
    for_each_run(g.y_shape(), g.x_shape(), g.x_shape(1), run);
  }
};

struct Affine final : Typed<Affine> {
  double scale, shift;
  Affine(double factor, double summand) : scale(factor), shift(summand) {}
  const char* name() const override { return "affine"; }
  Formula formula() const override { return "y = scale x + shift;  dx = scale dy"; }
  void attributes(Attributes& a) const override { put(a, "scale", scale), put(a, "shift", shift); }
  Shape shape(Views in, int) const override { return in[0].shape; }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T s = static_cast<T>(scale), t = static_cast<T>(shift);
    if (shift == 0)
      out.array() = s * in.array();
    else
      out.array() = s * in.array() + t;
  }
  VarList pullback(const PullbackArgs& p) const override { return {affine(p.cotangents[0], scale)}; }
  Range writable_range(std::size_t, Views, Views) const override { return everything; }
  bool is_identity_pullback(std::size_t, Views, Views) const override { return scale == 1; }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    if (g.dx() == nullptr) return;
    const T s = static_cast<T>(scale);
    if (g.uninitialized())
      g.dx_array() = T(0) + s * g.dy_array();
    else
      g.dx_array() += s * g.dy_array();
  }
};

struct BroadcastTo final : Typed<BroadcastTo> {
  Shape target;
  explicit BroadcastTo(const Shape& shape) : target(shape) {}
  const char* name() const override { return "broadcast_to"; }
  Formula formula() const override { return "y = x repeated;  dx = dy summed to x's shape"; }
  void attributes(Attributes& a) const override { put(a, "shape", fmt::format("{}", target)); }
  Shape shape(Views in, int) const override {
    Shape result;
    expects(broadcast(in[0].shape, target, result) && result == target,
            "broadcast_to: shape {} does not broadcast to {}", in[0].shape, target);
    return target;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T* x = in[0];
    T* y = out[0];
    for_each_run(target, in.shape(), in.shape(),
                 [&](Index y_at, Index x_at, Index, Index n, Index step, Index) {
                   for (Index i = 0; i < n; ++i) y[y_at + i] = x[x_at + i * step];
                 });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {sum_to(p.cotangents[0], p.inputs[0].shape())};
  }
};

struct SumTo final : Typed<SumTo> {
  Shape target;
  explicit SumTo(const Shape& shape) : target(shape) {}
  const char* name() const override { return "sum_to"; }
  Formula formula() const override {
    return "y = x summed over repeated axes;  dx = dy repeated to x's shape";
  }
  void attributes(Attributes& a) const override { put(a, "shape", fmt::format("{}", target)); }
  Shape shape(Views in, int) const override {
    Shape result;
    expects(broadcast(in[0].shape, target, result) && result == in[0].shape,
            "sum_to: shape {} does not broadcast to {}", target, in[0].shape);
    return target;
  }
  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const T* x = in[0];
    T* y = out[0];
    std::fill_n(y, out.size(), T(0));
    for_each_run(in.shape(), target, target, [&](Index x_at, Index y_at, Index, Index n, Index step, Index) {
      for (Index i = 0; i < n; ++i) y[y_at + i * step] += x[x_at + i];
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {broadcast_to(p.cotangents[0], p.inputs[0].shape())};
  }
};

}  // namespace

Var add(const Var& a, const Var& b) { return apply(Add{}, {a, b}); }
Var sub(const Var& a, const Var& b) { return apply(Sub{}, {a, b}); }
Var mul(const Var& a, const Var& b) { return apply(Mul{}, {a, b}); }
Var div(const Var& a, const Var& b) { return apply(Div{}, {a, b}); }
Var maximum(const Var& a, const Var& b) { return apply(LargerOrSmaller{true}, {a, b}); }
Var minimum(const Var& a, const Var& b) { return apply(LargerOrSmaller{false}, {a, b}); }
Var add(const Operand& a, const Operand& b) { return apply(Add{}, {a, b}); }
Var sub(const Operand& a, const Operand& b) { return apply(Sub{}, {a, b}); }
Var mul(const Operand& a, const Operand& b) { return apply(Mul{}, {a, b}); }
Var div(const Operand& a, const Operand& b) { return apply(Div{}, {a, b}); }
Var maximum(const Operand& a, const Operand& b) { return apply(LargerOrSmaller{true}, {a, b}); }
Var minimum(const Operand& a, const Operand& b) { return apply(LargerOrSmaller{false}, {a, b}); }
Var affine(const Var& x, double scale, double shift) { return apply(Affine{scale, shift}, {x}); }
Var broadcast_to(const Var& x, const Shape& shape) {
  return x.shape() == shape ? x : apply(BroadcastTo{shape}, {x});
}
Var sum_to(const Var& x, const Shape& shape) { return x.shape() == shape ? x : apply(SumTo{shape}, {x}); }
Var operator/(double c, const Var& x) { return div(x.tape("div").full({}, c), x); }

Var detail::constant_on(const Var& beside, double value) { return beside.tape("constant").full({}, value); }
Var detail::constant_on(const Var& beside, const Tensor& value) {
  Tape& tape = beside.tape("constant");
  return tape.constant(is_floating(value.dtype()) ? value : value.to(tape.dtype()));
}

namespace {

/// `op` of a and b on a tape that does not record.
template <class Op>
Tensor compute(const Tensor& a, const Tensor& b, Op op) {
  Tape tape({.dtype = can_compute(a.dtype()) ? a.dtype() : b.dtype(), .record = false});
  const Var beside = tape.full({}, 0);
  return op(detail::constant_on(beside, a), detail::constant_on(beside, b)).value().clone();
}
template <class Op>
Tensor compute(const Tensor& x, Op op) {
  Tape tape({.dtype = x.dtype(), .record = false});
  return op(tape.constant(x)).value().clone();
}

}  // namespace

Tensor operator+(const Tensor& a, const Tensor& b) { return compute(a, b, std::plus<>()); }
Tensor operator-(const Tensor& a, const Tensor& b) { return compute(a, b, std::minus<>()); }
Tensor operator*(const Tensor& a, const Tensor& b) { return compute(a, b, std::multiplies<>()); }
Tensor operator/(const Tensor& a, const Tensor& b) { return compute(a, b, std::divides<>()); }
Tensor operator-(const Tensor& x) { return -1 * x; }
Tensor operator+(const Tensor& x, double c) {
  return compute(x, [c](const Var& v) { return v + c; });
}
Tensor operator+(double c, const Tensor& x) { return x + c; }
Tensor operator-(const Tensor& x, double c) { return x + -c; }
Tensor operator-(double c, const Tensor& x) {
  return compute(x, [c](const Var& v) { return c - v; });
}
Tensor operator*(const Tensor& x, double c) {
  return compute(x, [c](const Var& v) { return c * v; });
}
Tensor operator*(double c, const Tensor& x) { return x * c; }
Tensor operator/(const Tensor& x, double c) { return x * (1 / c); }
Tensor operator/(double c, const Tensor& x) {
  return compute(x, [c](const Var& v) { return c / v; });
}

}  // namespace tapegrad
