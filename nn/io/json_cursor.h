/// A strict, bounded JSON reader for the headers of files.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace tapegrad {

/// Reads strict JSON (RFC 8259, UTF-8) from front to back without building a tree: the caller names the type
/// that must come next. Every error is a DataError that names the source and the byte position. Nesting is
/// bounded.
class JsonCursor {
 public:
  /// `source` names the text in errors; `base` is added to positions; values nest at most `deepest` levels.
  JsonCursor(std::string_view text, std::string source, std::size_t base = 0, int deepest = 64);

  /// Calls `member(key)` for every member of the object that comes next; the callback must consume the value.
  template <class F>
  void object(F&& member) {
    open('{');
    if (close('}')) return;
    do {
      const std::string key = string();
      expect(':');
      member(key);
    } while (more('}'));
  }
  /// Calls `element()` for every element of the array that comes next; the callback must consume it.
  template <class F>
  void array(F&& element) {
    open('[');
    if (close(']')) return;
    do element();
    while (more(']'));
  }
  std::string string();
  /// A plain non-negative integer: no sign, point, exponent or leading zero; throws on overflow of 64 bits.
  std::uint64_t unsigned_integer();
  /// Checks and skips one value of any type.
  void skip();
  /// True when `null` came next (and was consumed).
  bool null();
  /// Throws unless only white space is left.
  void end();
  [[noreturn]] void fail(std::string_view what) const;

 private:
  void space();
  char peek();
  void open(char bracket);
  bool close(char bracket);
  bool more(char bracket);
  void expect(char c);
  void literal(std::string_view word);
  void number();
  void escape(std::string& out);
  std::uint32_t hex4();
  void utf8_tail(std::string& out);

  std::string_view text_;
  std::string source_;
  std::size_t base_, at_ = 0;
  int depth_ = 0, deepest_;
};

}  // namespace tapegrad
