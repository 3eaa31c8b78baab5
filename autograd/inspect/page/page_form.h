#pragma once
#include <map>
#include <string>
#include <string_view>

namespace tapegrad {

/// Text between tags or in an attribute of HTML.
std::string html_escaped(std::string_view text);
/// The same for a <title>, which windows and lists show: as `\u202e` what is not seen but has an effect, such
/// as control characters and marks that turn the direction of writing.
std::string title_escaped(std::string_view text);

/// `form` with every {{name}} replaced, in one walk, so that nothing inside a value is taken for a place.
std::string filled(std::string_view form, const std::map<std::string_view, std::string>& values);

}  // namespace tapegrad
