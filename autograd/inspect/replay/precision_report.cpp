#include "precision_report.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "../../tensor/index_of.h"
#include "replay.h"

namespace tapegrad {
namespace {

constexpr double floor_of_gradients =
    1e-3;  // as in the checks of record: errors of smaller gradients are absolute
constexpr double infinite = std::numeric_limits<double>::infinity();

/// |a - b|; 0 for equal infinities and for two NaNs.
double distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  return std::isfinite(a) && std::isfinite(b) ? std::abs(a - b) : infinite;
}

/// Fills in the error relative to the largest magnitude in `exact`, or to `floor` when that is larger.
void compare(const TensorView& recorded, const TensorView& exact, NumericError& e, double floor = 0) {
  const float* a = recorded.data<float>();
  const double* b = exact.data<double>();
  double magnitude = floor;
  for (Index i = 0; i < exact.size(); ++i) {
    if (std::isfinite(b[i])) magnitude = std::max(magnitude, std::abs(b[i]));
    const double error = distance(static_cast<double>(a[i]), b[i]);
    if (i > 0 && error <= e.absolute) continue;
    e.absolute = error;
    e.cell = i;
    e.recorded = static_cast<double>(a[i]);
    e.exact = b[i];
  }
  e.relative = e.absolute == 0 ? 0 : magnitude == 0 ? infinite : e.absolute / magnitude;
}

void sort_worst_first(std::vector<NumericError>& errors) {
  std::stable_sort(errors.begin(), errors.end(),
                   [](const NumericError& a, const NumericError& b) { return a.relative > b.relative; });
}

/// Compares an f32 recording with its replay in f64.
class Comparison {
 public:
  Comparison(const Tape& tape, std::uint32_t nodes)
      : tape_(tape), nodes_(nodes), replay_(checked(tape), DType::f64) {}

  std::vector<NumericError> values() {
    std::vector<NumericError> errors;
    std::vector<double> relative;  // by flat output
    for (std::uint32_t i = 0; i < nodes_; ++i) {
      const Node& n = tape_.node(i);
      const std::size_t begin = errors.size();
      const int visible = n.op == nullptr ? 1 : n.op->outputs();
      for (int k = 0; k < n.output_count; ++k) {
        NumericError e = about(i, static_cast<std::uint32_t>(k));
        compare(n.outputs[k], replay_[e.value].view(), e);
        relative.push_back(e.relative);
        if (n.op != nullptr && k < visible) errors.push_back(std::move(e));
      }
      if (n.op != nullptr) explain(n, relative, errors.data() + begin);
    }
    sort_worst_first(errors);
    return errors;
  }

  std::vector<NumericError> gradients(const Var& loss, const Gradients& g) {
    replay_.backward(loss);
    std::vector<NumericError> errors;
    for (std::uint32_t i = 0; i < nodes_; ++i) {
      const Node& n = tape_.node(i);
      const int visible = n.op == nullptr ? 1 : n.op->outputs();
      for (int k = 0; k < visible; ++k) {
        NumericError e = about(i, static_cast<std::uint32_t>(k));
        const Tensor exact = replay_.gradient(e.value);
        if (!exact || !g.contains(e.value)) continue;
        compare(g[e.value].view(), exact.view(), e, floor_of_gradients);
        errors.push_back(std::move(e));
      }
    }
    sort_worst_first(errors);
    return errors;
  }

 private:
  static const Tape& checked(const Tape& tape) {
    expects(tape.dtype() == DType::f32,
            "precision_report: compares a recording in f32 with f64, this one is in {}",
            dtype_name(tape.dtype()));
    return tape;
  }

  NumericError about(std::uint32_t i, std::uint32_t output) const {
    const Node& n = tape_.node(i);
    NumericError e;
    e.value = tape_.handle(i, output);
    e.node = i;
    e.op = n.op == nullptr ? "" : n.op->name();
    e.path = n.parameter != nullptr ? std::string(n.parameter->path()) : *n.path;
    e.shape = n.outputs[output].shape;
    return e;
  }

  /// Runs the op in f64 on the recorded inputs, to separate its own rounding from the errors of its inputs.
  void explain(const Node& n, const std::vector<double>& relative, NumericError* errors) {
    arena_.rewind(0);
    const auto like = [&](const TensorView& view) {
      TensorView made{arena_.allocate(view.byte_count() * 2), view.shape, DType::f64};
      return made;
    };
    ViewList in, out;
    double inherited = 0;
    for (std::uint16_t k = 0; k < n.input_count; ++k) {
      const TensorView& from = tape_.output(n.inputs[k]);
      convert(from, in.push_back(like(from)));
      inherited = std::max(inherited, relative[n.inputs[k]]);
    }
    for (std::uint16_t k = 0; k < n.output_count; ++k) out.push_back(like(n.outputs[k]));
    n.op->forward(in, out);
    for (int k = 0; k < n.op->outputs(); ++k) {
      NumericError own;
      compare(n.outputs[k], out[static_cast<std::size_t>(k)], own);
      NumericError& e = errors[k];
      e.own = own.relative;
      e.inherited = inherited;
      const double before = std::max(e.own, inherited);
      e.growth = e.relative == before ? 1 : e.relative / before;
    }
  }

  const Tape& tape_;
  std::uint32_t nodes_;
  Replay replay_;
  Arena arena_;
};

}  // namespace

std::string NumericError::place() const {
  std::string name = path;
  if (!op.empty()) name += (name.empty() ? "" : ".") + op;
  if (name.empty()) name = "leaf";
  return shape.rank() == 0 || shape.size() == 0 ? name : fmt::format("{} at {}", name, index_of(shape, cell));
}

PrecisionReport precision_report(const Tape& tape) {
  return {Comparison(tape, static_cast<std::uint32_t>(tape.size())).values(), {}};
}

PrecisionReport precision_report(const Var& loss, const Gradients& g) {
  Comparison comparison(loss.tape("precision_report"), loss.id().node + 1);
  PrecisionReport report;
  report.values = comparison.values();
  report.gradients = comparison.gradients(loss, g);
  return report;
}

std::string to_text(const PrecisionReport& report, std::size_t rows) {
  std::string text;
  const auto table = [&](const char* title, const std::vector<NumericError>& errors, bool values) {
    fmt::format_to(std::back_inserter(text), "{}, f32 against f64, worst first ({} of {})\n", title,
                   std::min(rows, errors.size()), errors.size());
    fmt::format_to(std::back_inserter(text), "{:>9} {:>9} {:>14} {:>14}{}  place\n", "relative", "absolute",
                   "f32", "f64", values ? fmt::format(" {:>9} {:>9}", "own", "growth") : "");
    for (const NumericError& e : std::span(errors).first(std::min(rows, errors.size())))
      fmt::format_to(std::back_inserter(text), "{:9.1e} {:9.1e} {:14.7g} {:14.7g}{}  {}\n", e.relative,
                     e.absolute, e.recorded, e.exact,
                     values ? fmt::format(" {:9.1e} {:9.3g}", e.own, e.growth) : "", e.place());
  };
  table("values", report.values, true);
  if (report.gradients.empty()) return text;
  text += '\n';
  table("gradients", report.gradients, false);
  return text;
}

}  // namespace tapegrad
