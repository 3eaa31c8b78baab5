// Explanation -> text for a terminal.
#include "explanation.h"

#include <algorithm>
#include <cmath>

#include "head_table.h"

namespace tapegrad {
namespace {

constexpr std::size_t most_columns = 16, most_rows = 24;

/// Drops the sign of a NaN, which has no meaning and differs between machines.
double shown(double x) { return std::isnan(x) ? std::abs(x) : x; }

std::string cell(double x) { return fmt::format("{:>11.4g}", shown(x)); }

/// At most 24 rows and 16 columns of a matrix, with names.
std::string matrix(const std::vector<double>& values, std::size_t rows, std::size_t columns,
                   const std::vector<std::string>& row_names, const std::vector<std::string>& column_names) {
  std::string out;
  const std::size_t shown_rows = std::min(rows, most_rows), shown_columns = std::min(columns, most_columns);
  if (!column_names.empty()) {
    out += fmt::format("{:>12}", "");
    for (std::size_t j = 0; j < shown_columns; ++j) out += fmt::format("{:>11.10}", column_names[j]);
    out += '\n';
  }
  for (std::size_t i = 0; i < shown_rows; ++i) {
    out += fmt::format("{:>12.11}", row_names.empty() ? fmt::format("{}", i) : row_names[i]);
    for (std::size_t j = 0; j < shown_columns; ++j) out += cell(values[i * columns + j]);
    if (shown_columns < columns) out += "  …";
    out += '\n';
  }
  if (shown_rows < rows) out += fmt::format("{:>12}\n", "…");
  return out;
}

std::string title(const RecordedValue& v) {
  if (v.label.empty()) return v.module.empty() ? v.op : fmt::format("{} · {}", v.module, v.op);
  return v.parameter || v.module.empty() ? v.label : fmt::format("{}.{}", v.module, v.label);
}

void value_step(std::string& out, const TapeRecord& tape, const RecordedValue& v, std::size_t number,
                std::size_t total) {
  out += fmt::format("Step {} of {}, forward: {} {}\n", number, total, title(v), v.shape);
  if (!v.formula.empty()) out += fmt::format("  {}\n", v.formula);
  for (const std::uint32_t input : v.inputs)
    out += fmt::format("  from {} {}\n", title(tape[input]), tape[input].shape);
  const auto columns = static_cast<std::size_t>(v.shape.cols());
  if (columns > 0) out += matrix(v.value, v.value.size() / columns, columns, {}, {});
  out += '\n';
}

void gradient_step(std::string& out, const TapeRecord& tape, const RecordedValue& v, std::size_t number,
                   std::size_t total) {
  out += fmt::format("Step {} of {}, backward: {} {}  ({})\n", number, total, title(v), v.shape, v.rule);
  if (!v.formula.empty()) out += fmt::format("  {}\n", v.formula);
  const auto columns = static_cast<std::size_t>(v.shape.cols());
  if (columns > 0) out += matrix(v.gradient, v.gradient.size() / columns, columns, {}, {});
  if (!v.check.values.empty())
    out += fmt::format(
        "  numerical gradient {}: worst relative difference {:.2e} (absolute {:.2e}) over {} cells\n",
        v.check.passed() ? "agrees" : "DISAGREES", shown(v.check.relative), shown(v.check.absolute),
        v.check.values.size());
  for (const RecordedPart& part : v.input_grads) {
    double most = 0;
    for (const double x : part.values)
      if (std::abs(x) > most || std::isnan(x)) most = std::abs(x);  // a NaN stays
    out += fmt::format("  sends to {}: largest |contribution| {:.4g}\n", title(tape[part.to]), shown(most));
  }
  out += '\n';
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x * x;
  return std::sqrt(sum);
}

void updates(std::string& out, const Explanation& what) {
  if (what.parameters.empty()) return;
  out += fmt::format("Parameters and {}\n{:>12}{:>12}{:>12}\n", what.optimizer, "|value|", "|gradient|",
                     "|update|");
  for (const ParameterUpdate& p : what.parameters) {
    const RecordedValue& v = what.tape[p.value];
    out += fmt::format("{:>12.4g}{:>12.4g}{:>12.4g}  {} {}\n", shown(norm(v.value)), shown(norm(v.gradient)),
                       shown(norm(p.update)), p.name, v.shape);
  }
  out += '\n';
}

void what_ifs(std::string& out, const Explanation& what) {
  if (what.what_ifs.empty()) return;
  out += "What if: the loss after one change, beside the change that the gradient predicts\n";
  out += fmt::format("{:>12}{:>12}{:>12}\n", "loss", "change", "predicted");
  for (const WhatIf& w : what.what_ifs)
    out += fmt::format("{:>12.6g}{:>12.4g}{:>12.4g}  {}: {}\n", shown(w.loss), shown(w.change),
                       shown(w.predicted), w.path, w.title);
}

}  // namespace

std::string to_text(const Explanation& what) {
  const TapeRecord& tape = what.tape;
  std::string out = fmt::format("{}\nloss {:.17g}\n", what.title, shown(tape[tape.loss].value.at(0)));
  if (!what.broken.empty()) out += fmt::format("rule broken on purpose: {}\n", what.broken);
  for (const std::string& notice : what.notices) out += notice + '\n';
  out += '\n';
  const std::size_t total = tape.values.size() + tape.order.size();
  std::size_t number = 0;
  for (const RecordedValue& v : tape.values) value_step(out, tape, v, ++number, total);
  for (const std::uint32_t id : tape.order) gradient_step(out, tape, tape[id], ++number, total);
  for (const AttentionView& view : what.attention_views)
    for (Index head = 0; head < view.heads; ++head) {
      out += fmt::format("Attention {} ({}), head {}\n\n", path_of(view), view.kind, head + 1);
      for (const HeadTable& table : head_tables(what, view, head))
        out += fmt::format(
            "{}  {}   {}\n{}\n", table.step, table.name, table.formula,
            matrix(table.values, table.rows.size(), table.columns.size(), table.rows, table.columns));
    }
  updates(out, what);
  what_ifs(out, what);
  return out;
}

}  // namespace tapegrad
