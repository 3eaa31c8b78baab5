#include <tapegrad/autograd/inspect/page_form.h>

#include <tapegrad/autograd/inspect/json_text.h>

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
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    const auto bits = [&](std::size_t k) { return static_cast<unsigned char>(escaped[i + k]) & 0x3fu; };
    const auto lead = static_cast<unsigned char>(escaped[i]);
    const std::size_t length = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned code = lead;
    if (length == 2) code = (lead & 0x1fu) << 6 | bits(1);
    if (length == 3) code = (lead & 0xfu) << 12 | bits(1) << 6 | bits(2);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0), far = length == 4;
    const bool direction = code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
                           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
                           code == 0xfeff;
    if (!far && (control || direction))
      out += fmt::format("\\u{:04x}", code);
    else
      out += escaped.substr(i, length);
    i += length - 1;
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
