#include "examples/support/svg_parts.h"

#include <fmt/format.h>
#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>

namespace tapegrad::svg {
namespace {

constexpr std::string_view replacement = "\uFFFD";

constexpr std::string_view style = R"(<style>
text { font-family: system-ui, "DejaVu Sans", "Noto Sans", sans-serif; fill: #1f2328 }
.paper { fill: #ffffff } .soft { fill: #59636e } .title { font-weight: 600 }
.grid { stroke: #e4e8ec; stroke-width: 1 } .axis { stroke: #8c959f; stroke-width: 1 }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.train { stroke: #2563eb } .train-fill { fill: #2563eb }
.valid { stroke: #c2410c } .valid-fill { fill: #c2410c }
.plate { fill: #f3f5f8 } .frame { fill: none; stroke: #c8d0d8; stroke-width: 1 }
.weight { fill: #1746b0 } .bad { fill: #d1242f } .mono { font-family: "DejaVu Sans Mono", monospace }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.paper { fill: #0d1117 } .soft { fill: #9198a1 }
.grid { stroke: #252b33 } .axis { stroke: #6e7681 }
.train { stroke: #6ea8fe } .train-fill { fill: #6ea8fe }
.valid { stroke: #ffa657 } .valid-fill { fill: #ffa657 }
.plate { fill: #171d26 } .frame { stroke: #3d444d }
.weight { fill: #79b8ff } .bad { fill: #ff7b72 }
}
</style>
)";

}  // namespace

std::string xml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t good = std::min(first_bad_utf8(text), text.size());
    for (const std::string_view point : code_points(text.substr(0, good))) {
      const auto lead = static_cast<unsigned char>(point.front());
      if (point == "&") {
        out += "&amp;";
      } else if (point == "<") {
        out += "&lt;";
      } else if (point == ">") {
        out += "&gt;";
      } else if (point == "\"") {
        out += "&quot;";
      } else if (point == "'") {
        out += "&#39;";
      } else if ((lead < 0x20 && point != "\t" && point != "\n") || point == "\uFFFE" || point == "\uFFFF") {
        out += replacement;
      } else {
        out += point;
      }
    }
    if (good < text.size()) out += replacement;
    text.remove_prefix(std::min(good + 1, text.size()));
  }
  return out;
}

std::string open(double width, double height, std::string_view title) {
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
      "{1:.0f}\" "
      "role=\"img\" aria-label=\"{2}\">\n",
      width, height, xml(title));
  out += style;
  out += fmt::format("<rect class=\"paper\" width=\"{:.0f}\" height=\"{:.0f}\"/>\n", width, height);
  out += fmt::format("<text class=\"title\" x=\"20\" y=\"28\" font-size=\"16\">{}</text>\n",
                     xml(printable(title)));
  return out;
}

double text_width(std::string_view text) {
  double ems = 0;
  if (first_bad_utf8(text) != std::string_view::npos) return 0.64 * static_cast<double>(text.size());
  for (const std::string_view point : code_points(text)) {
    const bool combining = point >= "\u0300" && point <= "\u036F" && point.size() == 2;
    const bool wide = (point.size() == 3 && point >= "\u1100" && (point < "\u1E00" || point >= "\u2E80")) ||
                      point.size() == 4;
    ems += combining ? 0 : wide ? 1 : 0.64;
  }
  return ems;
}

std::string number(double value) { return fmt::format("{:.6g}", value); }

}  // namespace tapegrad::svg
