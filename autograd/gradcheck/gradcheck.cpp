#include "gradcheck.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "../ops/arithmetic.h"
#include "diagnosis/match.h"
#include "diagnosis/parts.h"
#include "samples.h"

namespace tapegrad {
namespace {

/// A random tensor of f64 values in [-1.5, -0.5) or [0.5, 1.5): nothing is multiplied by almost 0.
Tensor weights(const Shape& shape, std::uint64_t seed) { return sample_values(shape, -1, 1, seed, 0.5); }

/// One place that is perturbed: elements of an input or of a parameter.
struct Subject : CheckedSubject {
  std::function<double*()> data;  // writable elements; a parameter's version grows

  Subject(std::string the_name, const Shape& the_shape, std::function<double*()> elements)
      : data(std::move(elements)) {
    const auto size = static_cast<std::size_t>(the_shape.size());
    name = std::move(the_name);
    shape = the_shape;
    analytic.assign(size, 0);
    numeric.assign(size, 0);
    numeric_of_ones.assign(size, 0);
    compared.assign(size, false);
  }
};

/// Limits of a diagnosis: elements compared beyond the chosen ones, elements moved for the parts of uses, and
/// derivatives of the result for each subject, over all transposed inputs.
constexpr Index few_elements = 256, few_parts = 512, few_derivatives = 1 << 16;
constexpr std::size_t few_transposed = 4;

class Check {
 public:
  Check(const CheckedFunction& f, const std::vector<Tensor>& inputs, ParameterStore* params,
        const GradcheckOptions& options)
      : f_(f),
        options_(options),
        tape_({.dtype = DType::f64,
               .training = options.training,
               .fused = options.fused,
               .seed = options.seed}) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      expects(inputs[i].dtype() == DType::f64, "gradcheck: input {} must be f64, got {}", i,
              dtype_name(inputs[i].dtype()));
      inputs_.push_back(inputs[i].clone());
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      subjects_.push_back(
          {fmt::format("input {}", i), inputs_[i].shape(), [this, i] { return inputs_[i].data<double>(); }});
    if (params == nullptr) return;
    for (const Parameter& p : *params) {
      if (!p.trainable()) continue;
      expects(p.dtype() == DType::f64, "gradcheck: parameter '{}' must be f64, got {}", p.path(),
              dtype_name(p.dtype()));
      const auto data = [p] {
        double* values = nullptr;
        p.update([&](Tensor& own) { values = own.data<double>(); });
        return values;
      };
      subjects_.push_back({fmt::format("parameter '{}'", p.path()), p.shape(), data});
      parameters_.push_back(p);
    }
  }

  GradcheckResult run() {
    analyse();
    for (Subject& subject : subjects_)
      for (Index at : chosen(subject)) compare(subject, at);
    GradcheckResult& r = result_;
    const std::string what = options_.label.empty() ? "gradcheck" : options_.label;
    r.ok = r.max_relative_error <= options_.tolerance && r.kinks <= options_.allowed_kinks;
    r.message =
        worst_.empty() ? fmt::format("{}: nothing to compare", what) : fmt::format("{}: {}", what, worst_);
    if (r.kinks > 0)
      r.message += fmt::format("; {} of {} stencils cross a kink, first {}", r.kinks, r.kinks + r.checked,
                               first_kink_);
    if (!r.ok && options_.diagnose) r.diagnosis = diagnosis_or_none();
    if (!r.diagnosis.empty()) r.message += "; looks like: " + r.diagnosis;
    return r;
  }

 private:
  /// The stencil at one step: the derivative, and the second differences that reveal a kink.
  struct Stencil {
    double derivative = 0, bend = 0;
    std::vector<double> of_result = {};  // derivatives of its elements
  };

  Var evaluate(std::vector<Var>& vars) {
    tape_.reset();
    vars.clear();
    for (const Tensor& x : inputs_) vars.push_back(tape_.variable(x));
    return f_(vars);
  }

  const double* values() {
    const Var y = evaluate(vars_);
    expects(y.shape() == cotangent_.shape(), "gradcheck: the function gave shape {} first and {} later",
            cotangent_.shape(), y.shape());
    return y.value().data<double>();
  }

  void analyse() {
    const Var y = evaluate(vars_);
    cotangent_ = weights(y.shape(), options_.seed);
    base_ = y.value().to_vector();
    differentiate(y, &CheckedSubject::analytic);
  }

  void differentiate(const Var& y, std::vector<double> CheckedSubject::*into) {
    if (!y.needs_grad()) return;
    const Gradients g = tape_.backward(y, {.cotangent = cotangent_});
    for (std::size_t i = 0; i < subjects_.size(); ++i) {
      if (i < vars_.size()) {
        if (g.contains(vars_[i])) subjects_[i].*into = g[vars_[i]].to_vector();
      } else if (const Parameter& p = parameters_[i - vars_.size()]; g.contains(p)) {
        subjects_[i].*into = g[p].to_vector();
      }
    }
  }

  std::string diagnosis_or_none() {
    try {
      return diagnosis();
    } catch (const Error&) {  // the function throws when it is evaluated again
      return {};
    }
  }

  /// Computes the further derivatives that the diagnosis needs, and diagnoses.
  std::string diagnosis() {
    CheckedGradients all{{}, cotangent_.shape(), base_, {}, options_.tolerance, options_.floor};
    for (Subject& subject : subjects_) {
      subject.value.assign(subject.data(), subject.data() + subject.shape.size());
      if (!fails(subject) || subject.shape.size() > few_elements) continue;
      for (Index at = 0; at < subject.shape.size(); ++at)
        if (!subject.compared[static_cast<std::size_t>(at)]) estimate(subject, at);
    }
    const Var y = evaluate(vars_);
    all.result_again = y.value().to_vector();
    if (y.shape() == cotangent_.shape()) {
      differentiate(y, &CheckedSubject::analytic_again);
      const std::vector<double> cotangent = cotangent_.to_vector();
      for (std::size_t i = 0; i < subjects_.size(); ++i)
        if (Subject& subject = subjects_[i]; fails(subject)) {
          const Var x = i < vars_.size() ? vars_[i] : tape_[parameters_[i - vars_.size()]];
          subject.parts = gradient_parts(tape_, x, y, cotangent, options_.step, few_parts);
        }
      all.cotangent = cotangent;
      for (Subject& subject : subjects_)
        if (fails(subject)) differentiate_result(subject);
    }
    for (Subject& subject : subjects_) all.subjects.push_back(std::move(subject));
    return diagnose(all);
  }

  void differentiate_result(Subject& subject) {
    const auto compared = std::count(subject.compared.begin(), subject.compared.end(), true);
    if (compared > few_elements || compared * cotangent_.size() > few_derivatives) return;
    subject.jacobians.push_back({"", jacobian(subject)});
    for (Subject& other : subjects_) {
      if (&other == &subject || !diagnosis::is_square(other.shape)) continue;
      if (subject.jacobians.size() > few_transposed) return;
      const Transposed turned(other);
      try {
        subject.jacobians.push_back({other.name, jacobian(subject)});
      } catch (const Error&) {  // the function does not accept the transposed input
      }
    }
  }

  std::vector<std::vector<double>> jacobian(const Subject& subject) {
    std::vector<std::vector<double>> rows(subject.compared.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (subject.compared[i]) {
        const auto at = static_cast<Index>(i);
        rows[i] = stencil(subject, at, options_.step * std::max(1.0, std::abs(subject.data()[at]))).of_result;
      }
    return rows;
  }

  /// Swaps the last two axes of a subject's data during its lifetime.
  struct Transposed {
    Subject& subject;
    explicit Transposed(Subject& s) : subject(s) { turn(); }
    Transposed(const Transposed&) = delete;
    Transposed& operator=(const Transposed&) = delete;
    ~Transposed() { turn(); }
    void turn() {
      double* values = subject.data();
      for (Index i = 0; i < subject.shape.size(); ++i)
        if (const Index j = diagnosis::transposed(subject.shape, i); j > i) std::swap(values[i], values[j]);
    }
  };

  bool fails(const Subject& s) const {
    for (std::size_t i = 0; i < s.analytic.size(); ++i)
      if (s.compared[i] && !(relative_error(s.analytic[i], s.numeric[i]) <= options_.tolerance)) return true;
    return false;
  }

  /// All elements, or a random few, ascending.
  std::vector<Index> chosen(const Subject& subject) const {
    const Index size = subject.shape.size();
    std::vector<Index> all(static_cast<std::size_t>(size));
    for (Index i = 0; i < size; ++i) all[static_cast<std::size_t>(i)] = i;
    const Index count = options_.elements.value_or(size);
    if (count >= size) return all;
    const RandomKey key = random_key(options_.seed, static_cast<std::uint64_t>(size), 0, 0);
    for (Index i = 0; i < count; ++i) {
      const auto j = static_cast<std::size_t>(uniform01(key, static_cast<std::uint64_t>(i)) *
                                              static_cast<double>(size - i));
      std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(i) + j]);
    }
    all.resize(static_cast<std::size_t>(count));
    std::sort(all.begin(), all.end());
    return all;
  }

  /// Differences are taken output by output before they are added up: outputs that x does not reach add no
  /// rounding.
  Stencil stencil(const Subject& subject, Index at, double h) {
    std::array<std::vector<double>, 4> moved;
    const double x = subject.data()[at];
    const double offsets[] = {-2 * h, -h, h, 2 * h};
    for (std::size_t k = 0; k < 4; ++k) {
      const Restore restore{subject, at, x};
      subject.data()[at] = x + offsets[k];
      const double* y = values();
      moved[k].assign(y, y + base_.size());
    }
    Stencil s;
    s.of_result.reserve(base_.size());
    const double* c = cotangent_.data<double>();
    for (std::size_t i = 0; i < base_.size(); ++i) {
      const double wide = moved[3][i] - moved[0][i], narrow = moved[2][i] - moved[1][i];
      s.of_result.push_back((8 * narrow - wide) / (12 * h));
      s.derivative += c[i] * s.of_result.back();
      const double bend2 = (moved[3][i] - base_[i]) + (moved[0][i] - base_[i]);
      const double bend1 = (moved[2][i] - base_[i]) + (moved[1][i] - base_[i]);
      s.bend += std::abs(c[i] * (bend2 - 4 * bend1)) / h;
    }
    return s;
  }

  struct Restore {
    const Subject& subject;
    Index at;
    double value;
    ~Restore() { subject.data()[at] = value; }
  };

  double relative_error(double a, double n) const {
    if (!std::isfinite(a) || !std::isfinite(n)) return std::numeric_limits<double>::infinity();
    return std::abs(a - n) / std::max({options_.floor, std::abs(a), std::abs(n)});
  }

  /// A kink bends by the jump of the slope however small the step is; a smooth function by O(h^3).
  bool bent(const Stencil& s) const { return s.bend > 1e-4 * std::max({1.0, std::abs(s.derivative)}); }

  void compare(Subject& subject, Index at) {
    const auto i = static_cast<std::size_t>(at);
    if (!estimate(subject, at)) {
      if (result_.kinks++ == 0)
        first_kink_ = fmt::format("at {}, element {}", subject.name, index_of(subject.shape, at));
      return;
    }
    const double a = subject.analytic[i], n = subject.numeric[i], error = relative_error(a, n);
    if (result_.checked++ > 0 && error <= result_.max_relative_error) return;
    result_.max_relative_error = error;
    worst_ = fmt::format("{}, element {}: analytic {:.12g}, numeric {:.12g}, relative error {:.2g}",
                         subject.name, index_of(subject.shape, at), a, n, error);
  }

  /// Finds the numeric derivative, the closest to the analytic one of those that are equally good; false at a
  /// kink.
  bool estimate(Subject& subject, Index at) {
    const auto i = static_cast<std::size_t>(at);
    const double analytic = subject.analytic[i];
    const double h = options_.step * std::max(1.0, std::abs(subject.data()[at]));
    const Stencil first = stencil(subject, at, h);
    Stencil best = first;
    if (bent(first) || !(relative_error(analytic, first.derivative) <= options_.tolerance / 100)) {
      Stencil ladder[std::size(stencil_refinements)];
      double estimates[std::size(ladder)];
      for (std::size_t k = std::size(ladder); k-- > 0;) {  // the finest first
        ladder[k] = stencil_refinements[k] == 1 ? first : stencil(subject, at, h * stencil_refinements[k]);
        estimates[k] = ladder[k].derivative;
        if (k + 1 == std::size(ladder) && bent(first) && bent(ladder[k])) return false;
      }
      const std::size_t steady = steadiest(estimates);
      for (const Stencil& s : {ladder[steady], ladder[steady + 1]})
        if (!(relative_error(analytic, best.derivative) <= relative_error(analytic, s.derivative))) best = s;
    }
    subject.numeric[i] = best.derivative;
    subject.numeric_of_ones[i] = std::accumulate(best.of_result.begin(), best.of_result.end(), 0.0);
    subject.compared[i] = true;
    return true;
  }

  const CheckedFunction& f_;
  const GradcheckOptions& options_;
  Tape tape_;
  std::vector<Tensor> inputs_;
  std::vector<Parameter> parameters_;
  std::vector<Subject> subjects_;
  std::vector<Var> vars_;
  Tensor cotangent_;
  std::vector<double> base_;
  GradcheckResult result_;
  std::string worst_, first_kink_;
};

}  // namespace

GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  return Check(f, inputs, nullptr, options).run();
}

GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs, ParameterStore& params,
                          const GradcheckOptions& options) {
  return Check(f, inputs, &params, options).run();
}

namespace {

GradcheckResult check_gradient(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                               ParameterStore* params, const GradcheckOptions& options) {
  expects(!inputs.empty(), "gradgradcheck: needs at least one input");
  Shape result;
  {
    Tape tape(
        {.dtype = DType::f64, .training = options.training, .fused = options.fused, .seed = options.seed});
    std::vector<Var> vars;
    for (const Tensor& x : inputs) vars.push_back(tape.variable(x));
    result = f(vars).shape();
  }
  std::vector<Tensor> all = inputs;
  all.push_back(weights(result, options.seed + 1));
  const auto gradient = [&](const std::vector<Var>& vars) {
    Tape& tape = vars[0].tape();
    std::vector<Var> x(vars.begin(), vars.end() - 1);
    const Var loss = sum_to(f(x) * vars.back(), {});
    const Gradients g = tape.backward(loss, {.create_graph = true});
    if (params != nullptr)
      for (const Parameter& p : *params) x.push_back(tape[p]);
    Var total = tape.full({}, 0);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (g.contains(x[i]))
        total = total + sum_to(g.var(x[i]) * tape.constant(weights(x[i].shape(), options.seed + 2 + i)), {});
    return total;
  };
  const CheckedFunction checked = gradient;
  return Check(checked, all, params, options).run();
}

}  // namespace

GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options) {
  return check_gradient(f, inputs, nullptr, options);
}

GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              ParameterStore& params, const GradcheckOptions& options) {
  return check_gradient(f, inputs, &params, options);
}

}  // namespace tapegrad
