/// Finds the C++ source text of an op's backward rule.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "../../base/source_location.h"

namespace tapegrad {

/// The C++ text of a backward rule.
struct RuleText {
  std::string place;  ///< `file:line` of its first line
  std::string text;
};

/// Returns the rule of the op whose formula is at `where`: its `backward` or, without one, its `pullback`, up
/// to the closing brace. The sources of this library's ops are embedded in it; other files are read from
/// disk. Returns nullopt when the file or the rule is not found.
std::optional<RuleText> find_rule(const SourceLocation& where);

/// Finds the rule around `line` in the text `source` of `file`.
std::optional<RuleText> find_rule(std::string_view source, std::string_view file, std::size_t line);

}  // namespace tapegrad
