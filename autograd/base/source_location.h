/// A place in the sources: std::source_location for clang before version 15, which lacks it.
#pragma once

#include <cstdint>

namespace tapegrad {

class SourceLocation {
 public:
  /// The place of the call; as a default argument, the place where the function that has it is called.
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
