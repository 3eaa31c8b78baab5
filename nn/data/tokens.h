/// Tokenizers: text to tokens and back, by code point or by space.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

/// Splits text into tokens and joins tokens to text.
///
/// - `char`: every code point is a token, spaces included; joined without anything between.
/// - `space`: tokens are separated by runs of spaces (U+0020 alone; leading and trailing ones are dropped);
///   joined by one space.
class Tokenizer {
 public:
  Tokenizer() = default;  ///< `char`
  /// From the name used on command lines and in files. Throws Error for any other.
  explicit Tokenizer(std::string_view name);

  std::string_view name() const noexcept { return by_space_ ? "space" : "char"; }

  /// Tokens of well-formed UTF-8 `text`, which may be none. Throws DataError when it is not well-formed.
  std::vector<std::string> split(std::string_view text) const;
  std::string join(const std::vector<std::string>& tokens) const;

 private:
  bool by_space_ = false;
};

}  // namespace tapegrad
