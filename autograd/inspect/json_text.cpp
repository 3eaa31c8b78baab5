#include <tapegrad/autograd/inspect/json_text.h>

#include <algorithm>
#include <cmath>

namespace tapegrad {
namespace {

/// How many bytes the first character has; 0 when it is not UTF-8 (RFC 3629: no surrogates, nothing
/// overlong).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  const unsigned least = lead == 0xe0   ? 0xa0u
                         : lead == 0xf0 ? 0x90u
                                        : 0x80u,
                 most = lead == 0xed   ? 0x9fu
                        : lead == 0xf4 ? 0x8fu
                                       : 0xbfu;
  if (length == 0 || byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
  return length;
}

}  // namespace

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
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    out += length > 0 ? text.substr(0, length) : std::string_view("\xef\xbf\xbd");
    text.remove_prefix(std::max<std::size_t>(length, 1));
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
