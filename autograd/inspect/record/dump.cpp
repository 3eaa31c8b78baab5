#include "dump.h"

#include <algorithm>
#include <cmath>

namespace tapegrad {
namespace {

/// `-1 … 2`, or one number when all are equal, then the count of values that are not finite.
std::string range(const std::vector<double>& values) {
  if (values.empty()) return "empty";
  double least = INFINITY, most = -INFINITY;
  std::size_t bad = 0;
  for (const double x : values) {
    if (std::isfinite(x)) {
      least = std::min(least, x);
      most = std::max(most, x);
    } else {
      ++bad;
    }
  }
  std::string text;
  if (least < most)
    text = fmt::format("{:.5g} … {:.5g}", least, most);
  else if (least == most)
    text = fmt::format("{:.5g}", least);
  if (bad > 0) text += fmt::format("{}{} not finite", text.empty() ? "" : ", ", bad);
  return text;
}

std::string inputs(const RecordedValue& v) {
  std::string text;
  for (const std::uint32_t input : v.inputs) text += fmt::format("{}{}", text.empty() ? "" : " ", input);
  return text.empty() ? "-" : text;
}

}  // namespace

std::string dump_text(const TapeRecord& record, std::string_view pattern) {
  std::vector<std::vector<std::string>> lines = {{"", "op", "path", "shape", "inputs", "value", "gradient"}};
  for (const RecordedValue& v : record.values) {
    const std::string name = v.name();
    if (!path_matches(pattern, name) && !path_matches(pattern, v.module)) continue;
    const bool reached = !v.gradient.empty() || (v.value.empty() && !v.input_grads.empty());
    lines.push_back({fmt::format("{}", v.id), v.op, name.empty() ? "-" : name, fmt::format("{}", v.shape),
                     inputs(v), range(v.value), reached ? range(v.gradient) : "not reached"});
  }
  std::string out = fmt::format("{} values, {}, loss {:.17g} is value {}\n", record.values.size(),
                                dtype_name(record.dtype), record[record.loss].value.at(0), record.loss);
  // The ellipsis is one column wide, but three bytes long.
  const auto width = [](const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths(lines[0].size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string room(widths[i] - width(line[i]), ' ');
      out += i == 0 ? room + line[i] : "  " + line[i] + (i + 1 < line.size() ? room : "\n");
    }
  return out;
}

}  // namespace tapegrad
