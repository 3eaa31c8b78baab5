#include "init_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapegrad {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double far = 1000, most_errors = 6;

struct Moments {
  double mean = 0, deviation = 0;
};

/// Two passes in the order of the elements.
Moments moments(const Tensor& x) {
  Moments result;
  const auto count = static_cast<double>(x.size());
  if (x.size() == 0) return {nan, nan};
  dispatch(x.dtype(), [&]<class T>(T) {
    const T* data = x.data<T>();
    for (Index i = 0; i < x.size(); ++i) result.mean += static_cast<double>(data[i]) / count;
    double squares = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const double d = static_cast<double>(data[i]) - result.mean;
      squares += d * d;
    }
    result.deviation = std::sqrt(squares / count);
  });
  return result;
}

/// True when all elements are equal and finite.
bool constant(const Tensor& x, double mean) {
  return dispatch(x.dtype(), [&]<class T>(T) {
    const T* data = x.data<T>();
    return std::all_of(data, data + x.size(), [&](T v) { return v == data[0]; }) && std::isfinite(mean);
  });
}

ParameterStart look_at(const Parameter& p) {
  const Moments found = moments(p.value());
  ParameterStart start{p.path(), p.shape(), found.mean, found.deviation, {}, nan, false};
  if (const auto& rule = p.initial_rule()) {
    start.rule = rule->formula;
    start.promised = rule->deviation;
    // The standard error of a deviation; of uniform values it is smaller.
    const double error = rule->deviation / std::sqrt(2 * static_cast<double>(p.shape().size()));
    start.suspicious = p.shape().size() > 1 && std::abs(found.deviation - rule->deviation) >
                                                   most_errors * error + 1e-6 * rule->deviation;
  } else if (p.shape().size() > 0 && constant(p.value(), found.mean)) {
    start.rule = fmt::format("{:.6g}", found.mean);
    start.promised = 0;
    start.deviation = 0;
  }
  return start;
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double x) { return !std::isfinite(x); });
  if (values.empty()) return nan;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string shown(double x) { return std::isnan(x) ? "-" : fmt::format("{:.3g}", x); }

/// `encoder.layers.0.norm1` -> `encoder.layers.*.norm1`: repeated layers share a row.
std::string starred(const std::string& path) {
  std::string out;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('.', at), path.size());
    const std::string part = path.substr(at, end - at);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    out += (at > 0 ? "." : "") + (number ? "*" : part);
    at = end + 1;
  }
  return out;
}

/// Rows of texts and numbers; rows with equal texts are merged into one with the range of each number.
class Table {
 public:
  explicit Table(std::vector<std::string> names) : names_(std::move(names)) {}

  /// Adds a row: two texts, the numbers, then the other texts.
  void add(const std::vector<std::string>& texts, const std::vector<double>& numbers) {
    auto at = std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.texts == texts; });
    if (at == rows_.end()) at = rows_.insert(rows_.end(), {texts, {}});
    at->ranges.resize(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) at->ranges[i].add(numbers[i]);
  }
  std::string text() const {
    std::vector<std::vector<std::string>> lines = {names_};
    for (const Row& row : rows_) {
      std::vector<std::string>& line = lines.emplace_back(row.texts.begin(), row.texts.begin() + 2);
      for (const Range& range : row.ranges) line.push_back(range.text());
      line.insert(line.end(), row.texts.begin() + 2, row.texts.end());
    }
    std::string out;
    for (const auto& line : lines) {
      std::string row;
      for (std::size_t c = 0; c < line.size(); ++c) {
        std::size_t width = 0;
        for (const auto& other : lines) width = std::max(width, other[c].size());
        row += fmt::format("{}{:<{}}", c == 0 ? "" : "  ", line[c], c + 1 < line.size() ? width : 0);
      }
      out += row + "\n";
    }
    return out;
  }

 private:
  struct Range {
    double low = nan, high = nan;
    void add(double x) {
      low = std::fmin(low, x);
      high = std::fmax(high, x);
    }
    std::string text() const {
      const std::string a = shown(low), b = shown(high);
      return a == b ? a : a + " to " + b;
    }
  };
  struct Row {
    std::vector<std::string> texts;
    std::vector<Range> ranges;
  };
  std::vector<std::string> names_;
  std::vector<Row> rows_;
};

void warn(InitReport& report, const char* what, double LayerSignal::*member) {
  std::vector<double> all;
  for (const LayerSignal& layer : report.layers) all.push_back(layer.*member);
  const double middle = median(all);
  for (const LayerSignal& layer : report.layers) {
    const double x = layer.*member;
    const std::string path = layer.path.empty() ? "the model" : layer.path;
    if (std::isinf(x))
      report.warnings.push_back(fmt::format("{} of {} is not finite", what, path));
    else if (x < middle / far)
      report.warnings.push_back(
          fmt::format("vanishing {} in {}: deviation {}, the median of all layers is {}", what, path,
                      shown(x), shown(middle)));
    else if (x > middle * far)
      report.warnings.push_back(
          fmt::format("exploding {} in {}: deviation {}, the median of all layers is {}", what, path,
                      shown(x), shown(middle)));
  }
}

}  // namespace

InitReport init_report(const ParameterStore& params, const std::function<Var(Tape&)>& loss) {
  InitReport report;
  for (const Parameter& p : params)
    if (!p.is_buffer()) report.parameters.push_back(look_at(p));

  Tape tape({.dtype = params.dtype()});
  std::vector<Var> results;
  tape.observers().on_value("*", [&](const std::string& path, const Var& result) {
    report.layers.push_back({path, result.shape(), moments(result.value()).deviation, nan});
    results.push_back(result);
  });
  const Var total = loss(tape);
  const Gradients gradients = tape.backward(total);
  // A NaN deviation would print as "none", so it is reported as infinity.
  const auto finite_or = [](double x) { return std::isnan(x) ? std::numeric_limits<double>::infinity() : x; };
  for (std::size_t i = 0; i < results.size(); ++i) {
    report.layers[i].activation = finite_or(report.layers[i].activation);
    if (gradients.contains(results[i]))
      report.layers[i].gradient = finite_or(moments(gradients[results[i]]).deviation);
  }

  for (const ParameterStart& p : report.parameters)
    if (p.suspicious)
      report.warnings.push_back(fmt::format("{}: deviation {}, but its rule {} promises {}", p.name,
                                            shown(p.deviation), p.rule, shown(p.promised)));
  warn(report, "activation", &LayerSignal::activation);
  warn(report, "gradient", &LayerSignal::gradient);
  return report;
}

std::string to_text(const InitReport& report) {
  Table parameters({"parameter", "shape", "mean", "std", "expected", "rule"});
  for (const ParameterStart& p : report.parameters)
    parameters.add({starred(p.name), fmt::format("{}", p.shape), p.rule.empty() ? "-" : p.rule},
                   {p.mean, p.deviation, p.promised});
  Table layers({"layer", "shape", "activation std", "gradient std"});
  for (const LayerSignal& layer : report.layers)
    layers.add({layer.path.empty() ? "(model)" : starred(layer.path), fmt::format("{}", layer.shape)},
               {layer.activation, layer.gradient});
  std::string text = parameters.text() + "\n" + layers.text();
  for (const std::string& warning : report.warnings) text += fmt::format("warning: {}\n", warning);
  return text;
}

}  // namespace tapegrad
