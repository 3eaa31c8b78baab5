/// A place in the sources, as std::source_location, which clang lacks before version 15.
#pragma once

#include <cstdint>

namespace tapegrad {

class SourceLocation {
 public:
  /// Where it is called or, as a default argument, where the function is called that has it.
  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          std::uint_least32_t line = __builtin_LINE()) {
    SourceLocation here;
    here.file_ = file;
    here.line_ = line;
    return here;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr std::uint_least32_t line() const { return line_; }

 private:
  const char* file_ = "";
  std::uint_least32_t line_ = 0;
};

}  // namespace tapegrad
