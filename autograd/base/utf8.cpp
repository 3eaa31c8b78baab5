#include "utf8.h"

#include <iterator>

#include "error.h"

namespace tapegrad {
namespace {

std::uint32_t byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

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

std::size_t utf8_length(std::string_view text, std::size_t i) noexcept {
  const std::uint32_t lead = byte_at(text, i);
  if (lead < 0x80) return 1;
  std::uint32_t low = 0x80, high = 0xBF;  // bounds of the second byte
  std::size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;   // overlong below
    if (lead == 0xED) high = 0x9F;  // surrogates above
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // beyond U+10FFFF above
  } else {
    return 0;
  }
  if (length > text.size() - i) return 0;
  if (const std::uint32_t second = byte_at(text, i + 1); second < low || second > high) return 0;
  for (std::size_t k = 2; k < length; ++k) {
    if ((byte_at(text, i + k) & 0xC0) != 0x80) return 0;
  }
  return length;
}

std::uint32_t code_point(std::string_view sequence) {
  if (sequence.size() == 1) return byte_at(sequence, 0);
  std::uint32_t value = byte_at(sequence, 0) & (0x7FU >> sequence.size());
  for (std::size_t k = 1; k < sequence.size(); ++k) value = (value << 6) | (byte_at(sequence, k) & 0x3F);
  return value;
}

bool is_unseen(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || c == 0x180E ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
         c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

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
