#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

/// Writes JSON (RFC 8259) piece by piece; commas come by themselves. `<` is written as \u003c, so that no
/// text ends the script element that it may stand in.
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
  /// The shortest digits that read back as the same double; null for what JSON has no number for.
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

/// `text` with U+FFFD in the place of each byte that is not part of UTF-8.
std::string valid_utf8(std::string_view text);

/// RFC 4648.
std::string base64(const void* bytes, std::size_t count);

}  // namespace tapegrad
