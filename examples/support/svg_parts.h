/// The parts that the SVG pictures share.
#pragma once
#include <string>
#include <string_view>

namespace tapegrad::svg {

/// `text` as XML character data or attribute value; what XML 1.0 forbids becomes U+FFFD.
std::string xml(std::string_view text);

/// The opening tag, the colours for light and dark, the background and the title.
std::string open(double width, double height, std::string_view title);

/// The approximate width of `text` in ems: combining marks 0, East Asian and emoji 1, others 0.64.
double text_width(std::string_view text);

/// A number without needless zeros, such as `0.05`, `2000`, `1e-05`.
std::string number(double value);

}  // namespace tapegrad::svg
