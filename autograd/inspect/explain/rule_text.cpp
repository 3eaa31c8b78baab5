#include "rule_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "../page/embedded.h"

namespace tapegrad {
namespace {

constexpr std::uintmax_t largest_file = 1 << 20;

std::size_t line_number(std::string_view text, std::size_t at) {
  std::size_t number = 1;
  for (std::size_t i = 0; i < at; ++i) number += text[i] == '\n' ? 1 : 0;
  return number;
}

/// One behind the first `stop` from `at` on, outside of brackets that open there: `}` closes the first brace,
/// `;` ends a statement. Comments and strings are stepped over.
std::size_t closing(std::string_view text, std::size_t at, char stop = '}') {
  int depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (c == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
    } else {
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (c == stop && depth == 0) return at + 1;
    }
  }
  return text.npos;
}

/// The type around `at`: from the last `struct` or `class` that begins a line before it to its closing brace.
std::string_view type_around(std::string_view text, std::size_t at) {
  std::size_t begin = text.npos;
  for (const std::string_view word : {"\nstruct ", "\nclass "}) {
    const std::size_t found = text.rfind(word, at);
    if (found != text.npos && (begin == text.npos || found > begin)) begin = found;
  }
  if (begin == text.npos && (text.starts_with("struct ") || text.starts_with("class "))) begin = 0;
  if (begin == text.npos) return {};
  const std::size_t end = closing(text, begin);
  return end == text.npos || end < at ? std::string_view() : text.substr(begin, end - begin);
}

std::string without_indent(std::string_view text, std::size_t indent) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t skip = 0;
    while (skip < indent && at + skip < text.size() && text[at + skip] == ' ') ++skip;
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += text.substr(at + skip, end - at - skip);
    if (end < text.size()) out += '\n';
    at = end + 1;
  }
  return out;
}

}  // namespace

std::optional<RuleText> find_rule(std::string_view source, std::string_view file, std::size_t line) {
  std::size_t at = 0;
  for (std::size_t n = 1; n < line && at != source.npos; ++n) {
    at = source.find('\n', at);
    if (at != source.npos) ++at;
  }
  if (at == source.npos || line == 0) return std::nullopt;
  const auto rule = [&](std::size_t begin, char stop) -> std::optional<RuleText> {
    const std::size_t indent = source.find_first_not_of(' ', source.rfind('\n', begin) + 1);
    const std::size_t line_begin = source.rfind('\n', begin) + 1, end = closing(source, begin, stop);
    if (end == source.npos) return std::nullopt;
    return RuleText{fmt::format("{}:{}", file, line_number(source, begin)),
                    without_indent(source.substr(begin, end - begin), indent - line_begin)};
  };
  const std::string_view first_line = source.substr(at, source.find('\n', at) - at);
  if (const std::size_t call = first_line.find("elementwise("); call != first_line.npos) {
    const std::size_t fused = first_line.find("fused_elementwise(");
    return rule(at + std::min(call, fused), ';');
  }
  const std::string_view type = type_around(source, at);
  for (const std::string_view name : {"void backward_kernel(", "void backward(", "VarList pullback("}) {
    const std::size_t found = type.find(name);
    if (found == type.npos) continue;
    if (auto text = rule(static_cast<std::size_t>(type.data() - source.data()) + found, '}')) return text;
  }
  return std::nullopt;
}

std::optional<RuleText> find_rule(const SourceLocation& where) {
  const std::string path = where.file_name();
  for (const embedded::File& file : embedded::ops())
    if (("/" + path).ends_with("/" + std::string(file.name)))
      return find_rule(file.text, file.name, where.line());
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored) ||
      std::filesystem::file_size(path, ignored) > largest_file)
    return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return find_rule(text, std::filesystem::path(path).filename().string(), where.line());
}

}  // namespace tapegrad
