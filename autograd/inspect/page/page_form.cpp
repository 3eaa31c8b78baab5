#include "page_form.h"

#include "../../base/utf8.h"
#include "json_text.h"

namespace tapegrad {

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : valid_utf8(text)) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string title_escaped(std::string_view text) {
  std::string out;
  const std::string escaped = html_escaped(text);
  for (std::size_t i = 0; i < escaped.size();) {
    const std::string_view sequence = std::string_view(escaped).substr(i, utf8_length(escaped, i));
    const std::uint32_t c = code_point(sequence);
    out += is_unseen(c) ? fmt::format("\\u{:04x}", c) : std::string(sequence);
    i += sequence.size();
  }
  return out;
}

std::string filled(std::string_view form, const std::map<std::string_view, std::string>& values) {
  std::string out;
  for (std::size_t at = 0; at < form.size();) {
    const std::size_t begin = form.find("{{", at), end = form.find("}}", begin);
    if (begin == form.npos || end == form.npos) return out += form.substr(at);
    out += form.substr(at, begin - at);
    out += values.at(form.substr(begin + 2, end - begin - 2));
    at = end + 2;
  }
  return out;
}

}  // namespace tapegrad
