/// The properties of every op's gradients, as checks of one sample; for the tests of all ops and the mutation
/// test.
#pragma once
#include <tapegrad/autograd/gradcheck/gradcheck.h>
#include <tapegrad/autograd/gradcheck/samples.h>
#include <tapegrad/autograd/ops/arithmetic.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace tapegrad::op_checks {

inline constexpr std::uint64_t seed = 7;

inline TapeOptions options_for(const Sample& sample, DType dtype, bool fused = true) {
  return {.dtype = dtype, .training = sample.training, .fused = fused, .seed = seed};
}

/// The sample's inputs, all variables or only number `alone` and the others constants.
inline std::vector<Var> variables(Tape& tape, const Sample& sample, std::optional<std::size_t> alone = {}) {
  std::vector<Var> vars;
  for (const Tensor& x : sample.inputs) {
    const Tensor values = x.to(tape.dtype());
    vars.push_back(!alone || *alone == vars.size() ? tape.variable(values) : tape.constant(values));
  }
  return vars;
}

inline Tensor cotangent_for(const Var& y, double scale = 1) {
  Tensor c = sample_values(y.shape(), -1, 1, 11, 0.5).to(y.dtype());
  dispatch(c.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (Index i = 0; i < c.size(); ++i) c.data<T>()[i] *= static_cast<T>(scale);
  });
  return c;
}

/// A value and the gradients of the inputs (empty where none arrived), in memory of their own.
using Results = std::vector<Tensor>;

inline Results gradients(Tape& tape, const Var& y, const std::vector<Var>& vars,
                         BackwardOptions options = {}) {
  if (!options.cotangent) options.cotangent = cotangent_for(y);
  Results results(vars.size());
  if (!y.needs_grad()) return results;
  const Gradients g = tape.backward(y, options);
  for (std::size_t i = 0; i < vars.size(); ++i)
    if (g.contains(vars[i])) results[i] = g[vars[i]].clone();
  return results;
}

inline Results run(const Sample& sample, const TapeOptions& options, BackwardOptions backward = {},
                   std::optional<std::size_t> alone = {}) {
  Tape tape(options);
  const std::vector<Var> vars = variables(tape, sample, alone);
  const Var y = sample.call(vars);
  const Tensor value = y.value().clone();
  Results results = gradients(tape, y, vars, std::move(backward));
  results.insert(results.begin(), value);
  return results;
}

/// Largest difference relative to the largest entry; a gradient that did not arrive counts as zeros.
inline double distance(const Tensor& a, const Tensor& b) {
  const auto numbers = [](const Tensor& x, const Tensor& like) {
    return x ? x.to_vector() : std::vector<double>(static_cast<std::size_t>(like ? like.size() : 0));
  };
  const std::vector<double> x = numbers(a, b), y = numbers(b, a);
  if (x.size() != y.size()) return std::numeric_limits<double>::infinity();
  double largest = 1e-3, difference = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;  // infinities too
    largest = std::max({largest, std::abs(x[i]), std::abs(y[i])});
    const double d = std::abs(x[i] - y[i]);
    difference = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(difference, d);
  }
  return difference / largest;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return static_cast<bool>(a) == static_cast<bool>(b) && (!a || identical(a, b));
}

// Each check returns a description of the failure, or an empty string.

inline std::string near(const Results& a, const Results& b, double tolerance) {
  if (a.size() != b.size()) return fmt::format("{} results and {}", a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const double d = distance(a[i], b[i]); !(d <= tolerance))
      return fmt::format("{} differs by {}",
                         i == 0 ? std::string("value") : fmt::format("gradient of input {}", i - 1), d);
  return {};
}

inline std::string same(const Results& a, const Results& b) {
  if (a.size() != b.size()) return fmt::format("{} results and {}", a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same_bits(a[i], b[i])) return fmt::format("result {} has other bits", i);
  return {};
}

/// Raw backwards and pullbacks give equal gradients.
inline std::string raw_equals_pullback(const Sample& sample) {
  const TapeOptions options = options_for(sample, DType::f64);
  return near(run(sample, options), run(sample, options, {.create_graph = true}), 1e-12);
}

/// The cotangents of results inside of ops (`Op::accumulates_into_output_grad`), which the raw backwards
/// complete in place, are those of the definitions.
inline std::string completed_equal_pullback(const Sample& sample) {
  const auto inside = [&](bool create_graph) {
    Tape tape(options_for(sample, DType::f64));
    const Var y = sample.call(variables(tape, sample));
    const std::size_t recorded = tape.size();
    std::vector<std::pair<std::string, Tensor>> found;
    if (!y.needs_grad()) return found;
    const Gradients g = tape.backward(y, {.create_graph = create_graph, .cotangent = cotangent_for(y)});
    for (std::uint32_t i = 0; i < recorded; ++i) {
      const Op* op = tape.node(i).op;
      for (int k = 0; op != nullptr && k < op->outputs(); ++k) {
        if (!op->accumulates_into_output_grad(k)) continue;
        const Var x = tape.handle(i, static_cast<std::uint32_t>(k));
        found.emplace_back(fmt::format("{}, result {}", op->name(), k),
                           g.contains(x) ? g[x].clone() : Tensor());
      }
    }
    return found;
  };
  const auto raw = inside(false), expected = inside(true);
  for (std::size_t i = 0; i < raw.size(); ++i)
    if (const double d = distance(raw[i].second, expected[i].second); !(d <= 1e-12))
      return fmt::format("{}: its completed cotangent differs by {}", raw[i].first, d);
  return {};
}

/// Kernels and definitions give equal values and gradients.
inline std::string kernel_equals_definition(const Sample& sample) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string wrong =
        near(run(sample, options_for(sample, dtype)), run(sample, options_for(sample, dtype, false)),
             dtype == DType::f32 ? 1e-6 : 1e-12);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

inline std::string f32_follows_f64(const Sample& sample) {
  return near(run(sample, options_for(sample, DType::f32)), run(sample, options_for(sample, DType::f64)),
              1e-4);
}

/// Passes repeat bit for bit, and a doubled cotangent doubles every gradient.
inline std::string repeats_and_is_linear(const Sample& sample) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape(options_for(sample, dtype));
    const std::vector<Var> vars = variables(tape, sample);
    const Var y = sample.call(vars);
    const Results once = gradients(tape, y, vars),
                  doubled = gradients(tape, y, vars, {.cotangent = cotangent_for(y, 2)});
    if (const std::string wrong = same(once, gradients(tape, y, vars)); !wrong.empty()) return wrong;
    for (std::size_t i = 0; i < once.size(); ++i) {
      if (!once[i]) continue;
      Tensor twice = once[i].clone();
      dispatch(dtype, [&](auto zero) {
        using T = decltype(zero);
        for (Index k = 0; k < twice.size(); ++k) twice.data<T>()[k] *= T(2);
      });
      if (!same_bits(twice, doubled[i]))
        return fmt::format("a doubled cotangent does not double the gradient of input {}", i);
    }
    if (const std::string wrong = same(once, gradients(tape, y, vars, {.consume = true})); !wrong.empty())
      return wrong;
  }
  return {};
}

/// Used twice, an op gives every input both gradients: nothing is overwritten.
inline std::string uses_add_up(const Sample& sample) {
  if (sample.training) return {};  // the second use draws anew
  for (const bool fused : {true, false})
    for (const bool create_graph : {false, true}) {
      Tape tape(options_for(sample, DType::f64, fused));
      const std::vector<Var> vars = variables(tape, sample);
      const Var y = sample.call(vars), again = sample.call(vars);
      const Results once = gradients(tape, y, vars, {.create_graph = create_graph}),
                    twice = gradients(tape, y + again, vars, {.create_graph = create_graph});
      for (std::size_t i = 0; i < vars.size(); ++i) {
        if (!once[i] && !twice[i]) continue;
        Tensor sum(vars[i].shape(), DType::f64);
        for (Index k = 0; k < sum.size(); ++k)
          sum.data<double>()[k] = once[i] ? 2 * once[i].data<double>()[k] : 0;
        if (const double d = distance(sum, twice[i]); !(d <= 1e-12))
          return fmt::format("of two uses, the gradient of input {} differs by {}", i, d);
      }
    }
  return {};
}

/// An input's gradient does not depend on which other inputs have one, in kernels, definitions and pullbacks.
inline std::string inputs_alone(const Sample& sample) {
  if (sample.inputs.size() < 2) return {};
  for (const bool fused : {true, false})
    for (const bool create_graph : {false, true}) {
      const TapeOptions options = options_for(sample, DType::f64, fused);
      const Results together = run(sample, options, {.create_graph = create_graph});
      for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
        const Results alone = run(sample, options, {.create_graph = create_graph}, i);
        if (const double d = distance(alone[i + 1], together[i + 1]); !(d <= 1e-12))
          return fmt::format("gradient of input {} alone differs by {}", i, d);
      }
    }
  return {};
}

inline GradcheckResult check_gradients(const std::string& label, const Sample& sample, bool fused,
                                       bool diagnose = true) {
  if (!sample.differences) return {};
  return gradcheck(
      sample.call, sample.inputs,
      {.label = label, .training = sample.training, .fused = fused, .seed = seed, .diagnose = diagnose});
}

inline GradcheckResult check_gradients_of_gradients(const std::string& label, const Sample& sample,
                                                    bool diagnose = true) {
  if (!sample.differences) return {};
  return gradgradcheck(
      sample.call, sample.inputs,
      {.label = label, .tolerance = 1e-7, .training = sample.training, .seed = seed, .diagnose = diagnose});
}

}  // namespace tapegrad::op_checks
