/// Builds HTML from a template: escapes text and fills the template's {{name}} places.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace tapegrad {

/// Escapes `text` for use between HTML tags or in an attribute.
std::string html_escaped(std::string_view text);
/// Escapes `text` for a <title>. Invisible characters with an effect, such as control characters and marks
/// that change the direction of writing, are written as escapes such as `\u202e`.
std::string title_escaped(std::string_view text);

/// Replaces every {{name}} of `form` in one pass; placeholders inside a value are not replaced.
std::string filled(std::string_view form, const std::map<std::string_view, std::string>& values);

}  // namespace tapegrad
