#include "json_cursor.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

#include "../../autograd/base/error.h"

namespace tapegrad {
namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

/// Returns true when a number is larger than any double: 1e400, but neither 0e400 nor 1e-400.
bool overflows(std::string_view number) {
  double value = 0;
  const std::errc error = std::from_chars(number.data(), number.data() + number.size(), value).ec;
  if (error != std::errc::result_out_of_range) return false;
  std::istringstream text{std::string(number)};  // fails for too large, not for too small
  text.imbue(std::locale::classic());
  text >> value;
  return std::abs(value) > 1;
}

}  // namespace

JsonCursor::JsonCursor(std::string_view text, std::string source, std::size_t base, int deepest)
    : text_(text), source_(std::move(source)), base_(base), deepest_(deepest) {}

void JsonCursor::fail(std::string_view what) const {
  throw DataError(fmt::format("{}: byte {}: {}", source_, base_ + at_, what));
}

void JsonCursor::space() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
}

char JsonCursor::peek() {
  space();
  if (at_ == text_.size()) fail("the JSON ends too early");
  return text_[at_];
}

void JsonCursor::expect(char c) {
  if (peek() != c) fail(fmt::format("expected '{}'", c));
  ++at_;
}

void JsonCursor::open(char bracket) {
  expect(bracket);
  if (++depth_ > deepest_) fail(fmt::format("JSON nested deeper than {} levels", deepest_));
}

bool JsonCursor::close(char bracket) {
  if (peek() != bracket) return false;
  ++at_;
  --depth_;
  return true;
}

bool JsonCursor::more(char bracket) {
  if (close(bracket)) return false;
  if (peek() != ',') fail(fmt::format("expected ',' or '{}'", bracket));
  ++at_;
  return true;
}

std::uint32_t JsonCursor::hex4() {
  std::uint32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    if (at_ == text_.size()) fail("the JSON ends too early");
    const char c = text_[at_];
    const bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
    if (!digit && !lower && !upper) fail("expected four hexadecimal digits after \\u");
    code = code * 16 + static_cast<std::uint32_t>(digit ? c - '0' : lower ? c - 'a' + 10 : c - 'A' + 10);
    ++at_;
  }
  return code;
}

void JsonCursor::escape(std::string& out) {
  if (at_ == text_.size()) fail("the JSON ends too early");
  const char c = text_[at_++];
  constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
  if (const std::size_t found = names.find(c); found != names.npos) {
    out.push_back(values[found]);
    return;
  }
  if (c != 'u') fail("unknown escape in a string");
  std::uint32_t code = hex4();
  if (code >= 0xDC00 && code < 0xE000) fail("a lone surrogate in a string");
  if (code >= 0xD800 && code < 0xDC00) {
    if (text_.substr(at_, 2) != "\\u") fail("a lone surrogate in a string");
    at_ += 2;
    const std::uint32_t low = hex4();
    if (low < 0xDC00 || low >= 0xE000) fail("a lone surrogate in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(out, code);
}

void JsonCursor::utf8_tail(std::string& out) {
  const auto byte = [&](std::size_t i) {
    return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0U;
  };
  const unsigned lead = byte(0);
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  bool valid = length > 0;
  for (std::size_t i = 1; i < length; ++i) valid &= (byte(i) & 0xC0) == 0x80;
  valid &= !(lead == 0xE0 && byte(1) < 0xA0) && !(lead == 0xED && byte(1) > 0x9F) &&
           !(lead == 0xF0 && byte(1) < 0x90) && !(lead == 0xF4 && byte(1) > 0x8F);
  if (!valid) fail("invalid UTF-8 in a string");
  out += text_.substr(at_, length);
  at_ += length;
}

std::string JsonCursor::string() {
  expect('"');
  std::string out;
  for (;;) {
    if (at_ == text_.size()) fail("the JSON ends too early");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c >= 0x80) {
      utf8_tail(out);
      continue;
    }
    if (c < 0x20) fail("a control character in a string");
    ++at_;
    if (c == '"') return out;
    if (c == '\\')
      escape(out);
    else
      out.push_back(static_cast<char>(c));
  }
}

std::uint64_t JsonCursor::unsigned_integer() {
  const auto digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
  peek();
  if (!digit()) fail("expected a non-negative integer");
  const std::size_t start = at_;
  std::uint64_t value = 0;
  for (; digit(); ++at_) {
    const auto d = static_cast<std::uint64_t>(text_[at_] - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - d) / 10)
      fail("an integer that does not fit 64 bits");
    value = value * 10 + d;
  }
  if (at_ - start > 1 && text_[start] == '0') fail("an integer with a leading zero");
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E'))
    fail("expected a plain integer");
  return value;
}

void JsonCursor::literal(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail("expected a JSON value");
  at_ += word.size();
}

bool JsonCursor::null() {
  if (peek() != 'n') return false;
  literal("null");
  return true;
}

void JsonCursor::number() {
  const auto digits = [&] {
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    if (at_ == start) fail("expected a digit");
    return at_ - start;
  };
  const auto next = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  const std::size_t start = at_;
  if (next('-')) ++at_;
  const bool zero = next('0');
  if (digits() > 1 && zero) fail("a number with a leading zero");
  if (next('.')) {
    ++at_;
    digits();
  }
  if (next('e') || next('E')) {
    ++at_;
    if (next('+') || next('-')) ++at_;
    digits();
  }
  if (overflows(text_.substr(start, at_ - start))) fail("a number out of range");
}

void JsonCursor::skip() {
  switch (peek()) {
    case '{':
      return object([this](const std::string&) { skip(); });
    case '[':
      return array([this] { skip(); });
    case '"':
      string();
      return;
    case 't':
      return literal("true");
    case 'f':
      return literal("false");
    case 'n':
      return literal("null");
    default:
      if (peek() != '-' && (peek() < '0' || peek() > '9')) fail("expected a JSON value");
      return number();
  }
}

void JsonCursor::end() {
  space();
  if (at_ != text_.size()) fail("more text after the JSON value");
}

}  // namespace tapegrad
