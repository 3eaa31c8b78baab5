#include "problems.h"

namespace tapegrad {

Problems::Problems(std::string title, const std::vector<std::string>& kinds) : title_(std::move(title)) {
  for (const std::string& name : kinds) kinds_.push_back({name});
}

void Problems::add(std::size_t kind, std::string line) {
  Kind& of = kinds_[kind];
  ++of.count;
  if (of.lines.size() < most_lines) of.lines.push_back(std::move(line));
}

std::size_t Problems::count() const {
  std::size_t sum = 0;
  for (const Kind& kind : kinds_) sum += kind.count;
  return sum;
}

void Problems::raise(std::string_view where) const {
  std::vector<std::string> counts, lines;
  for (const auto& [name, kind_count, kind_lines] : kinds_) {
    if (kind_count == 0) continue;
    if (!name.empty()) counts.push_back(fmt::format("{} {}", kind_count, name));
    lines.insert(lines.end(), kind_lines.begin(), kind_lines.end());
    if (const std::size_t rest = kind_count - kind_lines.size(); rest > 0)
      lines.push_back(fmt::format("… and {} more{}{}", rest, name.empty() ? "" : " ", name));
  }
  if (lines.empty()) return;
  if (lines.size() == 1) throw DataError(fmt::format("{}: {}", where, lines[0]));
  const std::string by_kind = counts.empty() ? "" : fmt::format(" ({})", fmt::join(counts, ", "));
  throw DataError(
      fmt::format("{}: {} {}{}:\n  {}", where, count(), title_, by_kind, fmt::join(lines, "\n  ")));
}

}  // namespace tapegrad
