#include "json_text.h"

#include <algorithm>
#include <cmath>

#include "../../base/utf8.h"

namespace tapegrad {
JsonText& JsonText::number(double value) {
  return std::isfinite(value) ? raw(fmt::format("{}", value)) : null();
}

void JsonText::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (first_.empty()) return;
  if (!first_.back()) text_ += ',';
  first_.back() = false;
}

void JsonText::quote(std::string_view value) {
  text_ += '"';
  for (const char c : valid_utf8(value)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (text_ += '\\') += c;
    else if (byte < 0x20 || c == '<')
      text_ += fmt::format("\\u{:04x}", byte);
    else
      text_ += c;
  }
  text_ += '"';
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    out += length > 0 ? text.substr(i, length) : std::string_view("\xef\xbf\xbd");
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string base64(const void* bytes, std::size_t count) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* from = static_cast<const unsigned char*>(bytes);
  std::string text;
  text.reserve((count + 2) / 3 * 4);
  for (std::size_t i = 0; i < count; i += 3) {
    const std::size_t left = count - i;
    const unsigned word = from[i] << 16 | (left > 1 ? from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0);
    text += digits[word >> 18];
    text += digits[word >> 12 & 63];
    text += left > 1 ? digits[word >> 6 & 63] : '=';
    text += left > 2 ? digits[word & 63] : '=';
  }
  return text;
}

}  // namespace tapegrad
