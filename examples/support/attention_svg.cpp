#include <fmt/format.h>
#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "examples/support/svg.h"
#include "examples/support/svg_parts.h"

namespace tapegrad {
namespace {

constexpr double margin = 20, gap = 26, title_height = 22, head_height = 66;
constexpr double largest_cell = 22, smallest_cell = 2, widest_map = 330;
constexpr double least_label_cell = 7;  // letters in smaller cells cannot be read
constexpr double least_drawn = 0.004, least_told = 0.02;

/// The label of a token: spaces are made visible, and a long one is cut.
std::string label(const std::string& token) {
  if (token == " ") return "␣";
  return printable(token, 12);
}

/// The sizes of all maps of a picture, equal so that heads can be compared.
struct Layout {
  double cell, font, row_labels = 0, column_labels = 0;
  double map_width = 0, map_height = 0;
};

/// Returns true when a column label fits its column horizontally; longer ones are turned.
bool stands(double ems, const Layout& layout) { return ems * layout.font < 1.2 * layout.cell; }

Layout lay_out(const AttentionPicture& picture) {
  std::size_t most = 1, rows = 0, columns = 0;
  double widest_query = 0, widest_key = 0;
  for (const AttentionMap& map : picture.maps) {
    expects(map.weights.size() == map.queries.size() * map.keys.size(),
            "attention picture: map \"{}\" has {} weights, expected {} queries * {} keys = {}",
            printable(map.title), map.weights.size(), map.queries.size(), map.keys.size(),
            map.queries.size() * map.keys.size());
    rows = std::max(rows, map.queries.size());
    columns = std::max(columns, map.keys.size());
    for (const auto& token : map.queries)
      widest_query = std::max(widest_query, svg::text_width(label(token)));
    for (const auto& token : map.keys) widest_key = std::max(widest_key, svg::text_width(label(token)));
  }
  most = std::max({most, rows, columns});
  Layout layout{};
  layout.cell = std::clamp(std::floor(widest_map / static_cast<double>(most)), smallest_cell, largest_cell);
  layout.font = std::min(12.0, layout.cell * 0.72);
  if (layout.cell >= least_label_cell) {
    layout.row_labels = widest_query * layout.font + 6;
    layout.column_labels = stands(widest_key, layout) ? layout.font + 5 : widest_key * layout.font + 6;
  }
  layout.map_width = layout.row_labels + layout.cell * static_cast<double>(columns);
  layout.map_height = title_height + layout.column_labels + layout.cell * static_cast<double>(rows);
  for (const AttentionMap& map : picture.maps) {
    layout.map_width =
        std::max(layout.map_width, layout.row_labels + 13 * svg::text_width(printable(map.title)));
  }
  return layout;
}

void draw_labels(std::string& out, const AttentionMap& map, const Layout& layout, double x, double y) {
  const auto to = std::back_inserter(out);
  for (std::size_t q = 0; q < map.queries.size(); ++q) {
    fmt::format_to(to, "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                   x - 4, y + (static_cast<double>(q) + 0.5) * layout.cell + 0.35 * layout.font, layout.font,
                   svg::xml(label(map.queries[q])));
  }
  for (std::size_t k = 0; k < map.keys.size(); ++k) {
    const double middle = x + (static_cast<double>(k) + 0.5) * layout.cell;
    if (stands(svg::text_width(label(map.keys[k])), layout)) {
      fmt::format_to(to,
                     "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
                     middle, y - 5, layout.font, svg::xml(label(map.keys[k])));
    } else {
      fmt::format_to(
          to, "<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" font-size=\"{:.1f}\">{}</text>",
          middle + 0.35 * layout.font, y - 4, layout.font, svg::xml(label(map.keys[k])));
    }
  }
  out += '\n';
}

void draw_cells(std::string& out, const AttentionMap& map, const Layout& layout, double x, double y) {
  const auto to = std::back_inserter(out);
  const double map_width = layout.cell * static_cast<double>(map.keys.size());
  const double map_height = layout.cell * static_cast<double>(map.queries.size());
  fmt::format_to(to, "<rect class=\"plate\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
                 x, y, map_width, map_height);
  out += "<g shape-rendering=\"crispEdges\">\n";
  for (std::size_t q = 0; q < map.queries.size(); ++q) {
    for (std::size_t k = 0; k < map.keys.size(); ++k) {
      const double weight = static_cast<double>(map.weights[q * map.keys.size() + k]);
      const bool bad = !std::isfinite(weight);
      if (weight < least_drawn) continue;
      fmt::format_to(to,
                     "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                     "fill-opacity=\"{:.3g}\"",
                     bad ? "bad" : "weight", x + static_cast<double>(k) * layout.cell,
                     y + static_cast<double>(q) * layout.cell, layout.cell, layout.cell,
                     bad ? 1.0 : std::min(weight, 1.0));
      if (bad || weight >= least_told) {
        fmt::format_to(to, "><title>{} → {}: {:.3f}</title></rect>\n", svg::xml(label(map.queries[q])),
                       svg::xml(label(map.keys[k])), weight);
      } else {
        out += "/>\n";
      }
    }
  }
  out += "</g>\n";
  fmt::format_to(to, "<rect class=\"frame\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
                 x - 0.5, y - 0.5, map_width + 1, map_height + 1);
}

/// Draws a bar from 0 to 1 and the meaning of rows and columns.
void draw_key(std::string& out, const AttentionPicture& picture) {
  const auto to = std::back_inserter(out);
  fmt::format_to(to,
                 "<text class=\"soft\" x=\"{:.1f}\" y=\"48\" font-size=\"12\">0</text>\n<g "
                 "shape-rendering=\"crispEdges\">",
                 margin);
  for (int i = 0; i < 10; ++i) {
    const double x = margin + 12 + 9 * i;
    fmt::format_to(
        to,
        "<rect class=\"plate\" x=\"{0:.0f}\" y=\"39\" width=\"9\" height=\"9\"/>"
        "<rect class=\"weight\" x=\"{0:.0f}\" y=\"39\" width=\"9\" height=\"9\" fill-opacity=\"{1:.2f}\"/>",
        x, (i + 0.5) / 10);
  }
  fmt::format_to(
      to,
      "</g>\n<text class=\"soft\" x=\"{:.1f}\" y=\"48\" font-size=\"12\">1 · rows: {}, columns: {}</text>\n",
      margin + 107, svg::xml(printable(picture.query_name)), svg::xml(printable(picture.key_name)));
}

}  // namespace

std::string attention_svg(const AttentionPicture& picture) {
  const Layout layout = lay_out(picture);
  const auto count = static_cast<int>(picture.maps.size());
  const int columns = std::clamp(picture.columns, 1, std::max(count, 1));
  const int rows = (count + columns - 1) / columns;
  const double key_width =
      margin + 107 + 12 * svg::text_width("1 · rows: , columns: " + picture.query_name + picture.key_name);
  const double least = std::max(key_width, margin + 17 * svg::text_width(printable(picture.title)));
  const double width = std::max(least, margin + columns * (layout.map_width + gap) - gap) + margin;
  const double height = head_height + rows * (layout.map_height + gap) - gap + margin;

  std::string out = svg::open(width, std::max(height, head_height), picture.title);
  draw_key(out, picture);
  for (int i = 0; i < count; ++i) {
    const AttentionMap& map = picture.maps[static_cast<std::size_t>(i)];
    const double x = margin + (i % columns) * (layout.map_width + gap) + layout.row_labels;
    const double y =
        head_height + (i / columns) * (layout.map_height + gap) + title_height + layout.column_labels;
    out += fmt::format("<text class=\"title\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"13\">{}</text>\n", x,
                       y - layout.column_labels - 8, svg::xml(printable(map.title)));
    if (layout.cell >= least_label_cell) draw_labels(out, map, layout, x, y);
    draw_cells(out, map, layout, x, y);
  }
  return out + "</svg>\n";
}

}  // namespace tapegrad
