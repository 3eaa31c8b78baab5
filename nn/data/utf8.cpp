#include <tapegrad/autograd/error.h>
#include <tapegrad/autograd/utf8.h>
#include <tapegrad/nn/data/utf8.h>

#include <cstdint>
#include <iterator>

namespace tapegrad {
namespace {

std::string shown(std::string_view text, std::size_t limit, bool quotes) {
  std::string out;
  std::size_t i = 0;
  for (std::size_t n = 0; i < text.size() && n < limit; ++n) {
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned char>(text[i]));
      ++i;
      continue;
    }
    const std::string_view sequence = text.substr(i, length);
    const std::uint32_t c = code_point(sequence);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_unseen(c)) {
      fmt::format_to(std::back_inserter(out), "\\u{{{:04X}}}", c);
    } else {
      if (quotes && (c == '"' || c == '\\')) out += '\\';
      out += sequence;
    }
    i += length;
  }
  if (i < text.size()) out += "…";
  return out;
}

}  // namespace

std::size_t first_bad_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> code_points(std::string_view text) {
  std::vector<std::string_view> points;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    if (length == 0) throw DataError(fmt::format("invalid UTF-8 at byte {} of {}", i + 1, in_quotes(text)));
    points.push_back(text.substr(i, length));
    i += length;
  }
  return points;
}

std::size_t count_code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    const std::size_t length = utf8_length(text, i);
    i += length == 0 ? 1 : length;
  }
  return count;
}

std::string printable(std::string_view text, std::size_t limit) { return shown(text, limit, false); }

std::string in_quotes(std::string_view text, std::size_t limit) {
  return '"' + shown(text, limit, true) + '"';
}

}  // namespace tapegrad
