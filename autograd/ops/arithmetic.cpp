#include "arithmetic.h"

#include <algorithm>
#include <cstring>

#include "../gradcheck/samples.h"
#include "../kernels/elementwise.h"
#include "../tensor/broadcast.h"
#include "compare.h"

namespace tapegrad {
namespace {

/// What the binary ops share: the shape rule and the broadcasting loop over one scalar function.
class Broadcasting : public Primitive {
 public:
  Shape shape(Views in, int) const final {
    Shape result;
    expects(broadcast(in[0].shape, in[1].shape, result),
            "{}: shapes {} and {} do not broadcast; aligned at the last axis, extents must "
            "be equal or 1",
            name(), in[0].shape, in[1].shape);
    return result;
  }

 protected:
  ~Broadcasting() = default;

  template <class F>
  static void map(Views in, Views out, F f) {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T *a = in[0].data<T>(), *b = in[1].data<T>();
      T* c = out[0].data<T>();
      for_each_run(out[0].shape, in[0].shape, in[1].shape,
                   [&](Index c_at, Index a_at, Index b_at, Index n, Index da, Index db) {
                     if (da == 1 && db == 1)
                       for (Index i = 0; i < n; ++i) c[c_at + i] = f(a[a_at + i], b[b_at + i]);
                     else
                       for (Index i = 0; i < n; ++i) c[c_at + i] = f(a[a_at + i * da], b[b_at + i * db]);
                   });
    });
  }
};

/// Those whose gradients are f(dc, a, b, c) of each element, summed where an operand was repeated.
class Arithmetic : public Broadcasting {
 public:
  bool has_backward() const final { return true; }
  Range overwrites(std::size_t input, Views in, Views out) const final {
    return in[input].shape == out[0].shape ? everything : nothing;
  }

 protected:
  ~Arithmetic() = default;

  /// dinputs[input] += f(dc, a, b, c), or = where it is fresh.
  template <class T, class F>
  static void gather(const BackwardArgs& args, std::size_t input, F f) {
    T* sum = args.dinputs[input].data<T>();
    if (sum == nullptr) return;
    const Shape &out = args.outputs[0].shape, &own = args.inputs[input].shape,
                &other = args.inputs[1 - input].shape;
    const T *x = args.inputs[input].data<T>(), *y = args.inputs[1 - input].data<T>(),
            *c = args.outputs[0].data<T>(), *dc = args.doutputs[0].data<T>();
    const bool fresh = args.fresh[input];
    for_each_run(out, own, other, [&](Index at, Index x_at, Index y_at, Index n, Index x_step, Index y_step) {
      const auto value = [&](Index i, Index from_x, Index from_y) {
        return f(dc[at + i], x[x_at + from_x], y[y_at + from_y], c[at + i]);
      };
      T* to = sum + x_at;
      if (fresh && x_step == 1 && y_step == 1)
        for (Index i = 0; i < n; ++i) to[i] = T(0) + value(i, i, i);
      else if (fresh)
        for (Index i = 0; i < n; ++i) to[i] = T(0) + value(i, i, i * y_step);
      else
        for (Index i = 0; i < n; ++i) to[i * x_step] += value(i, i * x_step, i * y_step);
    });
  }
};

struct Add final : Broadcasting {
  const char* name() const override { return "add"; }
  Formula formula() const override { return "c = a + b;  da = dc, db = dc"; }
  void forward(Views in, Views out) const override {
    if (in[0].shape == in[1].shape)
      dispatch(out[0].dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::add<T>(in[0].data<T>(), in[1].data<T>(), out[0].data<T>(), out[0].size());
      });
    else
      map(in, out, [](auto a, auto b) { return a + b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc, p.inputs[0].shape()) : Var(),
            p.needs[1] ? sum_to(dc, p.inputs[1].shape()) : Var()};
  }
  bool has_backward() const override { return true; }
  Range overwrites(std::size_t input, Views in, Views out) const override {
    return in[input].shape == out[0].shape ? everything : nothing;
  }
  bool passes_on(std::size_t input, Views in, Views out) const override {
    return in[input].shape == out[0].shape;
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const TensorView& dc = args.doutputs[0];
      for (std::size_t i = 0; i < 2; ++i) {
        const TensorView& d = args.dinputs[i];
        if (args.fresh[i])
          std::memcpy(d.bytes, dc.bytes, dc.byte_count());
        else if (d && d.shape == dc.shape)
          kernels::add_into<T>(d.data<T>(), dc.data<T>(), d.size());
        else if (d)
          for_each_run(dc.shape, d.shape, d.shape,
                       [sum = d.data<T>(), from = dc.data<T>()](Index c_at, Index at, Index, Index n,
                                                                Index step, Index) {
                         for (Index k = 0; k < n; ++k) sum[at + k * step] += from[c_at + k];
                       });
      }
    });
  }
};

struct Sub final : Arithmetic {
  const char* name() const override { return "sub"; }
  Formula formula() const override { return "c = a - b;  da = dc, db = -dc"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto a, auto b) { return a - b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var& dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc, p.inputs[0].shape()) : Var(),
            p.needs[1] ? sum_to(-dc, p.inputs[1].shape()) : Var()};
  }
  bool passes_on(std::size_t input, Views in, Views out) const override {
    return input == 0 && in[0].shape == out[0].shape;
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&]<class T>(T) {
      gather<T>(args, 0, [](T dc, T, T, T) { return dc; });
      gather<T>(args, 1, [](T dc, T, T, T) { return -dc; });
    });
  }
};

struct Mul final : Arithmetic {
  const char* name() const override { return "mul"; }
  Formula formula() const override { return "c = a * b;  da = dc * b, db = dc * a"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto a, auto b) { return a * b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc * b, a.shape()) : Var(), p.needs[1] ? sum_to(dc * a, b.shape()) : Var()};
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&]<class T>(T) {
      for (std::size_t i = 0; i < 2; ++i) gather<T>(args, i, [](T dc, T, T other, T) { return dc * other; });
    });
  }
};

struct Div final : Arithmetic {
  const char* name() const override { return "div"; }
  Formula formula() const override { return "c = a / b;  da = dc / b, db = -dc * c / b"; }
  void forward(Views in, Views out) const override {
    map(in, out, [](auto a, auto b) { return a / b; });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &c = p.outputs[0], &dc = p.cotangents[0];
    return {p.needs[0] ? sum_to(dc / b, a.shape()) : Var(),
            p.needs[1] ? sum_to(-(dc * c / b), b.shape()) : Var()};
  }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&]<class T>(T) {
      gather<T>(args, 0, [](T dc, T, T b, T) { return dc / b; });
      gather<T>(args, 1, [](T dc, T b, T, T c) { return -(dc * c / b); });
    });
  }
};

/// max and min: the gradient follows the chosen operand, halved where none is (equal ones, as in PyTorch, and
/// NaN).
struct Extremum final : Broadcasting {
  bool largest;
  explicit Extremum(bool max) : largest(max) {}
  const char* name() const override { return largest ? "maximum" : "minimum"; }
  Formula formula() const override {
    return "c = max(a, b) or min(a, b), NaN if one is;  the chosen operand gets dc, equal ones half each";
  }
  void forward(Views in, Views out) const override {
    map(in, out, [this](auto a, auto b) {
      const bool first = largest ? a > b : a < b, second = largest ? b > a : b < a;
      return first ? a : second ? b : a == b ? a : a + b;  // one is NaN
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    const Var &a = p.inputs[0], &b = p.inputs[1], &dc = p.cotangents[0];
    Tape& tape = dc.tape();
    const Var one = tape.full({}, 1), half = tape.full({}, 0.5), none = tape.full({}, 0);
    const Tensor a_wins = largest ? greater(a, b) : less(a, b), b_wins = largest ? less(a, b) : greater(a, b);
    const Var a_share = where(a_wins, one, where(b_wins, none, half));
    return {p.needs[0] ? sum_to(dc * a_share, a.shape()) : Var(),
            p.needs[1] ? sum_to(dc * (1 - a_share), b.shape()) : Var()};
  }
  bool has_backward() const override { return true; }
  void backward(const BackwardArgs& args) const override {
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T *a = args.inputs[0].data<T>(), *b = args.inputs[1].data<T>(), *dc = args.doutputs[0].data<T>();
      T *da = args.dinputs[0].data<T>(), *db = args.dinputs[1].data<T>();
      const auto run = [&](Index c_at, Index a_at, Index b_at, Index n, Index a_step, Index b_step) {
        for (Index i = 0; i < n; ++i) {
          const T x = a[a_at + i * a_step], y = b[b_at + i * b_step];
          const T a_share = (largest ? x > y : x < y) ? T(1) : (largest ? x < y : x > y) ? T(0) : T(0.5);
          if (da) da[a_at + i * a_step] += dc[c_at + i] * a_share;
          if (db) db[b_at + i * b_step] += dc[c_at + i] * (1 - a_share);
        }
      };
      for_each_run(args.outputs[0].shape, args.inputs[0].shape, args.inputs[1].shape, run);
    });
  }
};

struct Affine final : Primitive {
  double scale, shift;
  Affine(double factor, double summand) : scale(factor), shift(summand) {}
  const char* name() const override { return "affine"; }
  Formula formula() const override { return "y = scale x + shift;  dx = scale dy"; }
  void attributes(Attributes& a) const override { put(a, "scale", scale), put(a, "shift", shift); }
  Shape shape(Views in, int) const override { return in[0].shape; }
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T s = static_cast<T>(scale), t = static_cast<T>(shift);
      if (shift == 0)
        out[0].array<T>() = s * in[0].array<T>();
      else
        out[0].array<T>() = s * in[0].array<T>() + t;
    });
  }
  VarList pullback(const PullbackArgs& p) const override { return {affine(p.cotangents[0], scale)}; }
  bool has_backward() const override { return true; }
  Range overwrites(std::size_t, Views, Views) const override { return everything; }
  bool passes_on(std::size_t, Views, Views) const override { return scale == 1; }
  void backward(const BackwardArgs& args) const override {
    if (!args.dinputs[0]) return;
    dispatch(args.outputs[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T s = static_cast<T>(scale);
      if (args.fresh[0])
        args.dinputs[0].array<T>() = T(0) + s * args.doutputs[0].array<T>();
      else
        args.dinputs[0].array<T>() += s * args.doutputs[0].array<T>();
    });
  }
};

struct BroadcastTo final : Primitive {
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
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* x = in[0].data<T>();
      T* y = out[0].data<T>();
      for_each_run(target, in[0].shape, in[0].shape,
                   [&](Index y_at, Index x_at, Index, Index n, Index step, Index) {
                     for (Index i = 0; i < n; ++i) y[y_at + i] = x[x_at + i * step];
                   });
    });
  }
  VarList pullback(const PullbackArgs& p) const override {
    return {sum_to(p.cotangents[0], p.inputs[0].shape())};
  }
};

struct SumTo final : Primitive {
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
  void forward(Views in, Views out) const override {
    dispatch(out[0].dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* x = in[0].data<T>();
      T* y = out[0].data<T>();
      std::fill_n(y, out[0].size(), T(0));
      for_each_run(in[0].shape, target, target,
                   [&](Index x_at, Index y_at, Index, Index n, Index step, Index) {
                     for (Index i = 0; i < n; ++i) y[y_at + i * step] += x[x_at + i];
                   });
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
Var maximum(const Var& a, const Var& b) { return apply(Extremum{true}, {a, b}); }
Var minimum(const Var& a, const Var& b) { return apply(Extremum{false}, {a, b}); }
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

Tensor operator+(const Tensor& a, const Tensor& b) { return compute(a, b, add); }
Tensor operator-(const Tensor& a, const Tensor& b) { return compute(a, b, sub); }
Tensor operator*(const Tensor& a, const Tensor& b) { return compute(a, b, mul); }
Tensor operator/(const Tensor& a, const Tensor& b) { return compute(a, b, div); }
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

namespace {

const OpSamples add_samples("add", [] { return binary_samples(add, "a + b"); });
const OpSamples sub_samples("sub", [] { return binary_samples(sub, "a - b"); });
const OpSamples mul_samples("mul", [] { return binary_samples(mul, "a * b"); });
const OpSamples div_samples("div", [] { return binary_samples(div, "a / b", 0.5, 2); });
/// `torch` is PyTorch's name for f.
std::vector<Sample> extremum_samples(Var (*f)(const Var&, const Var&), const char* torch) {
  std::vector<Sample> samples = binary_samples(f, fmt::format("{}(a, b)", torch), -2, 2, true);
  const Tensor column = Tensor::of({{0}, {1.5}, {-1}}, DType::f64),
               row = Tensor::of({0.5, 2.5, -2, -0.5}, DType::f64);
  samples.push_back({"either larger, column and row",
                     {column, row},
                     [f](const std::vector<Var>& in) { return f(in[0], in[1]); },
                     fmt::format("{}(a, b)", torch)});
  samples.push_back({"either larger, row and column",
                     {row, column},
                     [f](const std::vector<Var>& in) { return f(in[0], in[1]); },
                     fmt::format("{}(a, b)", torch)});
  return samples;
}

const OpSamples maximum_samples("maximum", [] {
  std::vector<Sample> samples = extremum_samples(maximum, "torch.maximum");
  samples.push_back({"ties, kinks taken out",
                     {Tensor::of({1, -2, 0.5}, DType::f64), Tensor::of({1, -2, 1.5}, DType::f64)},
                     [](const std::vector<Var>& in) { return maximum(in[0], in[1]) + minimum(in[0], in[1]); },
                     "torch.maximum(a, b) + torch.minimum(a, b)"});
  return samples;
});
const OpSamples minimum_samples("minimum", [] { return extremum_samples(minimum, "torch.minimum"); });
const OpSamples affine_samples("affine", [] {
  return unary_samples([](const Var& x) { return affine(x, -1.5, 0.25); }, "-1.5 * a + 0.25");
});

/// `torch` is PyTorch's name for f.
std::vector<Sample> shape_samples(Var (*f)(const Var&, const Shape&), const char* torch, bool widen) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{3, 4}, {3, 4}}, {{4}, {3, 4}}, {{3, 1}, {3, 4}}, {{}, {2, 3}}, {{2, 1, 3}, {2, 4, 3}},
      {{1, 0}, {3, 0}}, {{1}, {0}},    {{}, {}},         {{3}, {1, 3}}};
  std::vector<Sample> samples;
  for (const auto& [narrow, wide] : cases) {
    const Shape from = widen ? narrow : wide, to = widen ? wide : narrow;
    samples.push_back({fmt::format("{} to {}", from, to),
                       {sample_values(from)},
                       [=](const std::vector<Var>& in) { return f(in[0], to); },
                       fmt::format("a.{}({})", torch, to)});
  }
  const Shape from = widen ? Shape{3} : Shape{2, 3}, to = widen ? Shape{2, 3} : Shape{3};
  const auto call = [=](const std::vector<Var>& in) { return f(in[0], to); };
  const std::string there = fmt::format("a.{}({})", torch, to);
  samples.push_back({"small magnitude", {sample_values(from, -0.2, 0.2)}, call, there});
  samples.push_back({"large magnitude", {sample_values(from, -60, 60)}, call, there});
  samples.push_back({"repeated input",
                     {sample_values(from)},
                     [=](const std::vector<Var>& in) { return mul(f(in[0], to), in[0]); },
                     there + " * a"});
  return samples;
}

const OpSamples broadcast_to_samples("broadcast_to",
                                     [] { return shape_samples(broadcast_to, "broadcast_to", true); });
const OpSamples sum_to_samples("sum_to", [] { return shape_samples(sum_to, "sum_to_size", false); });

}  // namespace
}  // namespace tapegrad
