/// A JSON writer (JsonText), and the text encodings that pages need.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

/// Writes JSON (RFC 8259) piece by piece and inserts the commas. `<` is written as \u003c, so that no text
/// can end an enclosing script element.
class JsonText {
 public:
  JsonText& open(char bracket) {
    separate();
    text_ += bracket;
    first_.push_back(true);
    return *this;
  }
  JsonText& close(char bracket) {
    first_.pop_back();
    text_ += bracket;
    return *this;
  }
  JsonText& key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
    after_key_ = true;
    return *this;
  }
  JsonText& string(std::string_view value) {
    separate();
    quote(value);
    return *this;
  }
  /// Writes the shortest digits that read back as this double; null for NaN and infinities.
  JsonText& number(double value);
  JsonText& integer(std::int64_t value) { return raw(fmt::format("{}", value)); }
  JsonText& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonText& null() { return raw("null"); }
  template <class Range>
  JsonText& integers(const Range& values) {
    open('[');
    for (const auto value : values) integer(static_cast<std::int64_t>(value));
    return close(']');
  }
  JsonText& strings(const std::vector<std::string>& values) {
    open('[');
    for (const std::string& value : values) string(value);
    return close(']');
  }

  const std::string& text() const { return text_; }

 private:
  JsonText& raw(std::string_view value) {
    separate();
    text_ += value;
    return *this;
  }
  void separate();
  void quote(std::string_view value);

  std::string text_;
  std::vector<bool> first_;
  bool after_key_ = false;
};

/// `text` with U+FFFD in place of each byte that is not valid UTF-8.
std::string valid_utf8(std::string_view text);

/// Base64 (RFC 4648) of `count` bytes.
std::string base64(const void* bytes, std::size_t count);

}  // namespace tapegrad
