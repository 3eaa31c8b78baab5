#include "examples/seq2seq/json.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

namespace tapegrad::seq2seq {
namespace {

using nlohmann::json;

/// Receives the parser's events and keeps no tree, so that depth and repeated keys are seen as they come.
class Flat : public nlohmann::json_sax<json> {
 public:
  Flat(bool object, const std::string& text, const std::string& where)
      : object_(object), text_(text), where_(where) {}

  std::vector<std::pair<std::string, JsonScalar>> members;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(static_cast<std::int64_t>(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<number_unsigned_t>(INT64_MAX)) return put(static_cast<std::int64_t>(value));
    return put(static_cast<std::uint64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& written) override {
    // The parser gives a whole number too long for 64 bits as a float.
    if (written.find_first_of(".eE") == std::string::npos)
      refuse("the number", written, "a whole number of 64 bits");
    return put(value);
  }
  bool string(string_t& value) override { return put(value); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return true; }
  bool end_array() override { return true; }

  bool key(string_t& name) override {
    if (!keys_.insert(name).second)
      throw DataError(fmt::format("{}: key {} stands twice", where_, in_quotes(name)));
    key_ = name;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string& last,
                   const nlohmann::detail::exception& error) override {
    const std::size_t at = std::min(byte == 0 ? 0 : byte - 1, text_.size());
    const auto line = std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
    const std::size_t begin = at == 0 ? 0 : text_.rfind('\n', at - 1) + 1;
    const std::size_t column = count_code_points(std::string_view(text_).substr(begin, at - begin)) + 1;
    if (error.id == 406) {  // a number beyond the range of double
      throw DataError(
          fmt::format("{}:{}:{}: number out of range, got {}", where_, line, column, printable(last)));
    }
    throw DataError(
        fmt::format("{}:{}:{}: not JSON, got {}", where_, line, column,
                    at >= text_.size() ? "the end" : in_quotes(std::string_view(text_).substr(at), 10)));
  }

 private:
  bool open(bool object) {
    if (opened_)
      refuse("nested value", object ? "an object" : "an array", object_ ? "plain values" : "strings");
    if (object != object_)
      refuse("top level", object ? "an object" : "an array", object_ ? "an object" : "an array");
    opened_ = true;
    return true;
  }
  bool put(JsonScalar value) {
    if (!opened_) refuse("top level", to_json(value), object_ ? "an object" : "an array");
    if (!object_ && !std::holds_alternative<std::string>(value)) refuse("element", to_json(value), "strings");
    members.emplace_back(key_, std::move(value));
    return true;
  }
  [[noreturn]] void refuse(std::string_view what, std::string_view got, std::string_view expected) const {
    const std::string key = key_.empty() ? "" : in_quotes(key_) + ": ";
    throw DataError(
        fmt::format("{}: {}{}, got {}, expected {}", where_, key, what, printable(got, 60), expected));
  }

  bool object_, opened_ = false;
  const std::string& text_;
  const std::string& where_;
  std::string key_;
  std::set<std::string> keys_;
};

std::vector<std::pair<std::string, JsonScalar>> parse(bool object, const std::string& text,
                                                      const std::string& where) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    throw DataError(fmt::format("{}:1:1: byte order mark, expected UTF-8 without one", where));
  }
  // The parser takes a NUL byte for the end of the text.
  if (text.find('\0') != std::string::npos)
    throw DataError(fmt::format("{}: NUL byte, expected JSON text", where));
  Flat events(object, text, where);
  json::sax_parse(text, &events);
  return std::move(events.members);
}

json tree(const JsonScalar& value) {
  return std::visit([](const auto& held) { return json(held); }, value);
}

}  // namespace

std::vector<std::pair<std::string, JsonScalar>> parse_json_object(const std::string& text,
                                                                  const std::string& where) {
  return parse(true, text, where);
}

std::vector<std::string> parse_json_strings(const std::string& text, const std::string& where) {
  std::vector<std::string> strings;
  for (auto& [key, value] : parse(false, text, where))
    strings.push_back(std::move(std::get<std::string>(value)));
  return strings;
}

std::string to_json(const std::vector<std::pair<std::string, JsonScalar>>& members) {
  std::string text = "{";
  for (const auto& [key, value] : members) {
    text += (text.size() > 1 ? "," : "") + json(key).dump() + ":" + to_json(value);
  }
  return text + "}";
}

std::string to_json(const std::vector<std::string>& strings) { return json(strings).dump(); }

std::string to_json(const JsonScalar& value) {
  return tree(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace tapegrad::seq2seq
