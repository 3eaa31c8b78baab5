#include "tokens.h"
#include "../../autograd/base/error.h"
#include "../../autograd/base/utf8.h"

#include <algorithm>

namespace tapegrad {

Tokenizer::Tokenizer(std::string_view name) : by_space_(name == "space") {
  expects(name == "char" || name == "space", "tokens: got {}, expected \"char\" or \"space\"{}",
          in_quotes(name), name.starts_with("bpe") ? " (byte-pair encoding is not available yet)" : "");
}

std::vector<std::string> Tokenizer::split(std::string_view text) const {
  std::vector<std::string> tokens;
  if (!by_space_) {
    for (const std::string_view point : code_points(text)) tokens.emplace_back(point);
    return tokens;
  }
  if (const std::size_t bad = first_bad_utf8(text); bad != std::string_view::npos) {
    throw DataError(fmt::format("invalid UTF-8 at byte {} of {}", bad + 1, in_quotes(text)));
  }
  for (std::size_t i = text.find_first_not_of(' '); i != std::string_view::npos;) {
    const std::size_t end = std::min(text.find(' ', i), text.size());
    tokens.emplace_back(text.substr(i, end - i));
    i = text.find_first_not_of(' ', end);
  }
  return tokens;
}

std::string Tokenizer::join(const std::vector<std::string>& tokens) const {
  std::string text;
  for (const std::string& token : tokens) {
    if (by_space_ && !text.empty()) text += ' ';
    text += token;
  }
  return text;
}

}  // namespace tapegrad
