/// The exceptions of the library, and `expects`, which throws one unless a condition holds.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace tapegrad {

/// A mistake of the caller: a wrong shape, a stale handle, a repeated name. The text reads `[module path:
/// ]op: problem, with the values and a hint`. The innermost layer that an error passes through adds its path
/// once (see Layer).
class Error : public std::exception {
 public:
  explicit Error(std::string message) : text_(std::move(message)) {}
  const char* what() const noexcept override { return text_.c_str(); }

  /// Puts `path: ` in front, unless the text has a path already or `path` is empty.
  void add_path(std::string_view path) {
    if (has_path_ || path.empty()) return;
    text_ = fmt::format("{}: {}", path, text_);
    has_path_ = true;
  }

 private:
  std::string text_;
  bool has_path_ = false;
};

/// Bad data from outside, such as a malformed line of a file. Programs exit with code 65.
class DataError : public Error {
  using Error::Error;
};

/// A system resource is exhausted: memory, threads, files or disk space. Programs exit with code 1.
class SystemError : public Error {
  using Error::Error;
};

/// Throws Error with the formatted text unless `ok`. The arguments are formatted only on failure.
template <class... Args>
void expects(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) [[unlikely]]
    throw Error(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace tapegrad
