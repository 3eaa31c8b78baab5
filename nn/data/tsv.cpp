#include "tsv.h"
#include "../../autograd/base/error.h"
#include "../../autograd/base/utf8.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace tapegrad {
namespace {

constexpr std::string_view layout = "source<TAB>target";

bool blank(std::string_view text) { return text.find_first_not_of(' ') == std::string_view::npos; }

Example split(const LineReader& reader, const std::string& line) {
  if (line.empty()) reader.fail(line, 0, fmt::format("empty line, got nothing, expected {}", layout));
  const std::size_t tab = line.find('\t');
  if (tab == std::string::npos)
    reader.fail(line, 0, fmt::format("no tab, got {}, expected {}", in_quotes(line), layout));
  if (const std::size_t second = line.find('\t', tab + 1); second != std::string::npos) {
    const auto columns = std::count(line.begin(), line.end(), '\t') + 1;
    reader.fail(line, second, fmt::format("too many columns, got {}, expected 2 ({})", columns, layout));
  }
  const std::string_view source(line.data(), tab), target(line.data() + tab + 1, line.size() - tab - 1);
  if (blank(source))
    reader.fail(line, 0,
                fmt::format("empty source, got {}, expected text before the tab", in_quotes(source)));
  if (blank(target))
    reader.fail(line, tab + 1,
                fmt::format("empty target, got {}, expected text after the tab", in_quotes(target)));
  return {std::string(source), std::string(target), reader.number()};
}

}  // namespace

std::vector<Example> read_tsv(const std::string& path, const TsvOptions& options) {
  LineReader reader(path, options.max_line);
  std::vector<Example> examples;
  for (std::string line; reader.next(line);) {
    if (reader.bytes() > options.max_bytes) {
      reader.fail(
          line, 0,
          fmt::format("file too large, got more than {} bytes, expected at most that", options.max_bytes));
    }
    examples.push_back(split(reader, line));
  }
  if (examples.empty()) {
    throw DataError(
        fmt::format("{}:1:1: no examples, got an empty file, expected lines of {}", printable(path), layout));
  }
  return examples;
}

std::vector<References> group_by_source(const std::vector<Example>& examples) {
  std::vector<References> groups;
  std::unordered_map<std::string_view, std::size_t> place;  // views into `examples`
  for (const Example& example : examples) {
    const auto [at, fresh] = place.try_emplace(example.source, groups.size());
    if (fresh) groups.push_back({example.source, {}});
    auto& targets = groups[at->second].targets;
    if (std::find(targets.begin(), targets.end(), example.target) == targets.end())
      targets.push_back(example.target);
  }
  return groups;
}

}  // namespace tapegrad
