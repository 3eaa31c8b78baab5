#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <tuple>

#include "examples/support/svg.h"
#include "examples/support/svg_parts.h"

namespace tapegrad {
namespace {

constexpr double width = 760, height = 430;
constexpr double left = 66, right = 740, top = 52, bottom = 374;
constexpr std::size_t most_points = 300;
constexpr double most_loss = 1e30;  // larger values and NaN are not drawn

/// A scale from values to pixels with round ticks inside its range.
struct Axis {
  double low, high, from, to;
  bool logarithmic = false;
  std::vector<double> ticks{};

  double at(double value) const {
    const double share =
        logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

/// The smallest of 1, 2, 5 times a power of ten that is not below `x`.
double round_up(double x) {
  const double power = std::pow(10.0, std::floor(std::log10(x)));
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= x * (1 - 1e-12)) return digit * power;
  }
  return 10 * power;
}

void linear_ticks(Axis& axis, int wanted, double least_step) {
  const double step = std::max(least_step, round_up((axis.high - axis.low) / wanted));
  axis.low = std::floor(axis.low / step + 1e-9) * step;
  for (int k = 0;; ++k) {
    const double tick = axis.low + k * step;
    if (tick > axis.high + 1e-9 * step) break;
    axis.ticks.push_back(std::abs(tick) < 1e-9 * step ? 0.0 : tick);
  }
}

void logarithmic_ticks(Axis& axis) {
  axis.logarithmic = true;
  const double decades = std::log10(axis.high / axis.low);
  const double stride = std::ceil(decades / 10);  // decades between ticks
  for (double power = std::floor(std::log10(axis.low)); power <= std::log10(axis.high); power += stride) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double tick = digit * std::pow(10.0, power);
      if (tick >= axis.low && tick <= axis.high && (decades < 4 || digit == 1.0)) axis.ticks.push_back(tick);
    }
  }
}

Axis loss_axis(const std::vector<LossPoint>& points) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const LossPoint& p : points) {
    low = std::min(low, p.loss);
    high = std::max(high, p.loss);
  }
  if (points.empty()) low = 0, high = 1;
  if (low > 0 && high / low > 30) {
    Axis axis{low / 1.1, high * 1.1, bottom, top};
    logarithmic_ticks(axis);
    return axis;
  }
  if (low > 0 && low < 0.6 * high) low = 0;  // include zero when it costs little height
  const double margin = std::max({0.04 * (high - low), 1e-3 * std::abs(high), 1e-9});
  Axis axis{low < 0 || low > 0 ? low - margin : 0, high + margin, bottom, top};
  linear_ticks(axis, 6, 0);
  return axis;
}

std::vector<LossPoint> finite(const std::vector<LossPoint>& points) {
  std::vector<LossPoint> kept;
  std::copy_if(points.begin(), points.end(), std::back_inserter(kept),
               [](const LossPoint& p) { return std::abs(p.loss) < most_loss; });
  return kept;
}

struct Stretch {
  double step, mean, least, greatest;
};

/// At most `most_points` means over equal stretches of `points`.
std::vector<Stretch> thinned(const std::vector<LossPoint>& points) {
  std::vector<Stretch> stretches;
  const std::size_t count = std::min(points.size(), most_points);
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t begin = k * points.size() / count, end = (k + 1) * points.size() / count;
    Stretch s{0, 0, points[begin].loss, points[begin].loss};
    for (std::size_t i = begin; i < end; ++i) {
      s.step += static_cast<double>(points[i].step) / static_cast<double>(end - begin);
      s.mean += points[i].loss / static_cast<double>(end - begin);
      s.least = std::min(s.least, points[i].loss);
      s.greatest = std::max(s.greatest, points[i].loss);
    }
    stretches.push_back(s);
  }
  return stretches;
}

void draw_axes(std::string& out, const Axis& x, const Axis& y) {
  const auto to = std::back_inserter(out);
  for (const double tick : y.ticks) {
    fmt::format_to(to, "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>",
                   left, right, y.at(tick));
    fmt::format_to(
        to, "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"12\" text-anchor=\"end\">{}</text>\n",
        left - 9, y.at(tick) + 4, svg::number(tick));
  }
  for (const double tick : x.ticks) {
    fmt::format_to(to, "<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>",
                   x.at(tick), bottom, bottom + 5);
    fmt::format_to(
        to,
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"12\" text-anchor=\"middle\">{}</text>\n",
        x.at(tick), bottom + 20, fmt::format("{:.0f}", tick));
  }
  fmt::format_to(to, "<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                 left, right, bottom);
  fmt::format_to(
      to,
      "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"13\" text-anchor=\"middle\">step</text>\n",
      (left + right) / 2, height - 14);
  fmt::format_to(to,
                 "<text class=\"soft\" transform=\"translate(18 {:.1f}) rotate(-90)\" font-size=\"13\" "
                 "text-anchor=\"middle\">loss{}</text>\n",
                 (top + bottom) / 2, y.logarithmic ? " (log scale)" : "");
}

void draw_line(std::string& out, const Axis& x, const Axis& y, const std::vector<LossPoint>& points,
               std::string_view name) {
  const auto to = std::back_inserter(out);
  const std::vector<Stretch> line = thinned(points);
  if (line.empty()) return;
  if (points.size() > most_points) {
    fmt::format_to(to, "<path class=\"{}-fill\" opacity=\"0.18\" d=\"", name);
    for (std::size_t i = 0; i < line.size(); ++i) {
      fmt::format_to(to, "{}{:.1f} {:.1f}", i == 0 ? 'M' : 'L', x.at(line[i].step), y.at(line[i].greatest));
    }
    for (std::size_t i = line.size(); i-- > 0;)
      fmt::format_to(to, "L{:.1f} {:.1f}", x.at(line[i].step), y.at(line[i].least));
    out += "Z\"/>\n";
  }
  fmt::format_to(to, "<path class=\"line {}\" d=\"", name);
  for (std::size_t i = 0; i < line.size(); ++i) {
    fmt::format_to(to, "{}{:.1f} {:.1f}", i == 0 ? 'M' : 'L', x.at(line[i].step), y.at(line[i].mean));
  }
  out += "\"/>\n";
  if (line.size() > 40) return;
  for (const Stretch& s : line) {
    fmt::format_to(to, "<circle class=\"{}-fill\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"/>", name,
                   x.at(s.step), y.at(s.mean));
  }
  out += '\n';
}

void draw_best(std::string& out, const Axis& x, const Axis& y, const std::vector<LossPoint>& valid) {
  if (valid.empty()) return;
  const LossPoint best = *std::min_element(valid.begin(), valid.end(),
                                           [](const auto& a, const auto& b) { return a.loss < b.loss; });
  const double px = x.at(static_cast<double>(best.step)), py = y.at(best.loss);
  fmt::format_to(std::back_inserter(out),
                 "<circle class=\"line valid\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"6\"/>\n", px, py);
  const bool low = py > bottom - 30, late = px > (left + right) / 2;
  fmt::format_to(std::back_inserter(out),
                 "<text class=\"valid-fill\" x=\"{:.1f}\" y=\"{:.1f}\" "
                 "font-size=\"12\" text-anchor=\"{}\">"
                 "best {:.4g} at step {}</text>\n",
                 px, low ? py - 13 : py + 21, late ? "end" : "start", best.loss, best.step);
}

}  // namespace

std::string loss_svg(const LossCurve& curve) {
  const std::vector<LossPoint> train = finite(curve.train), valid = finite(curve.valid);
  std::vector<LossPoint> all = train;
  all.insert(all.end(), valid.begin(), valid.end());
  double last = 1;
  for (const LossPoint& p : all) last = std::max(last, static_cast<double>(p.step));
  Axis x{0, last, left, right};
  linear_ticks(x, 8, 1);
  const Axis y = loss_axis(all);

  std::string out = svg::open(width, height, curve.title);
  draw_axes(out, x, y);
  if (all.empty()) {
    out += fmt::format(
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"14\" text-anchor=\"middle\">no losses "
        "yet</text>\n",
        (left + right) / 2, (top + bottom) / 2);
  }
  draw_line(out, x, y, train, "train");
  draw_line(out, x, y, valid, "valid");
  draw_best(out, x, y, valid);
  double at = right;
  for (const auto& [name, label, shown] :
       {std::tuple("valid", "validation", !valid.empty()), std::tuple("train", "training", !train.empty())}) {
    if (!shown) continue;
    at -= 13 * svg::text_width(label);
    out += fmt::format("<text x=\"{:.1f}\" y=\"28\" font-size=\"13\">{}</text>", at, label);
    out += fmt::format("<line class=\"line {}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"24\" y2=\"24\"/>\n", name,
                       at - 28, at - 6);
    at -= 48;
  }
  return out + "</svg>\n";
}

}  // namespace tapegrad
