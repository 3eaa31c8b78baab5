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

/// The rule of the op whose formula is written at `where`: the statement `elementwise(…);` on this line, or
/// else the raw backward or, where it has none, the `pullback` of the type around it. The ops of this library
/// are found in any folder, since their text is part of it; other files are read. Nothing when the file or
/// the rule is not found.
std::optional<RuleText> find_rule(const SourceLocation& where);

/// Finds the rule around `line` in the text `source` of `file`.
std::optional<RuleText> find_rule(std::string_view source, std::string_view file, std::size_t line);

}  // namespace tapegrad
