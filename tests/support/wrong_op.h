#pragma once
#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops.h>
#include <tapegrad/autograd/tensor/broadcast.h>

#include <cmath>
#include <type_traits>

namespace tapegrad::test {

using Pull = VarList (*)(const PullbackArgs&);
using Raw = void (*)(const BackwardArgs&);

/// An elementwise op of one or two inputs with broadcasting, whose pullback the test supplies.
template <auto F>
struct Elementwise final : Primitive {
  Pull pull;
  Raw raw;
  explicit Elementwise(Pull written, Raw looped = nullptr) : pull(written), raw(looped) {}
  const char* name() const override { return "mine"; }
  Formula formula() const override { return "y = f(a, b)"; }
  Shape shape(Views in, int) const override {
    Shape result;
    expects(broadcast(in.front().shape, in.back().shape, result), "mine: shapes");
    return result;
  }
  void forward(Views in, Views out) const override {
    const double *a = in.front().data<double>(), *b = in.back().data<double>();
    double* y = out[0].data<double>();
    for_each_run(out[0].shape, in.front().shape, in.back().shape,
                 [&](Index y_at, Index a_at, Index b_at, Index n, Index da, Index db) {
                   for (Index i = 0; i < n; ++i) {
                     if constexpr (std::is_invocable_v<decltype(F), double, double>)
                       y[y_at + i] = F(a[a_at + i * da], b[b_at + i * db]);
                     else
                       y[y_at + i] = F(a[a_at + i * da]);
                   }
                 });
  }
  VarList pullback(const PullbackArgs& p) const override { return pull(p); }
  bool has_backward() const override { return raw != nullptr; }
  void backward(const BackwardArgs& args) const override { raw(args); }
};

inline constexpr auto cube = [](double x) { return x * x * x; };
inline constexpr auto product = [](double a, double b) { return a * b; };
inline constexpr auto exponential = [](double x) { return std::exp(x); };
inline constexpr auto hyperbolic = [](double x) { return std::tanh(x); };
inline constexpr auto one_sided = [](double x) { return x > 0 ? x * x : 0; };
inline constexpr auto two_sided = [](double x) { return x > 0 ? x * x : -x; };
inline constexpr auto first_of = [](double a, double) { return a; };
inline constexpr auto square_times_sine = [](double a, double b) { return a * a * std::sin(b); };
inline constexpr auto plus_sine = [](double a, double b) { return a + std::sin(b); };
inline constexpr auto difference = [](double a, double b) { return a - b; };

/// The op of the test with this pullback.
template <auto F>
CheckedFunction op(Pull pull, Raw raw = nullptr) {
  return [=](const std::vector<Var>& in) {
    const Elementwise<F> mine(pull, raw);
    return in.size() == 1 ? apply(mine, {in[0]}) : apply(mine, {in[0], in[1]});
  };
}
/// The op of two inputs applied to one input twice.
template <auto F>
CheckedFunction twice(Pull pull, Raw raw = nullptr) {
  return [=](const std::vector<Var>& in) { return apply(Elementwise<F>(pull, raw), {in[0], in[0]}); };
}

inline Var x(const PullbackArgs& p) { return p.inputs[0]; }
inline Var b(const PullbackArgs& p) { return p.inputs[1]; }
inline Var y(const PullbackArgs& p) { return p.outputs[0]; }
inline Var dy(const PullbackArgs& p) { return p.cotangents[0]; }
inline Var right(const PullbackArgs& p) { return 3 * square(x(p)) * dy(p); }                    // of cube
inline VarList half_negated(const PullbackArgs& p) { return {dy(p) * b(p), -(dy(p) * x(p))}; }  // of product
inline VarList half_lost(const PullbackArgs& p) { return {dy(p) * b(p), Var()}; }               // of product
inline VarList right_alone(const PullbackArgs& p) { return {right(p)}; }

/// A pullback of these gradients, written in x(p), b(p), y(p) and dy(p).
#define PULL(...) []([[maybe_unused]] const PullbackArgs& p) -> VarList { return {__VA_ARGS__}; }

inline Tensor values(Shape shape, std::uint64_t key = 1) { return sample_values(shape, -2, 2, key, 0.1); }

}  // namespace tapegrad::test
