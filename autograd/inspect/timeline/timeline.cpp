// Timeline -> one HTML file, and sparklines.
#include "timeline.h"

#include <algorithm>
#include <cmath>

#include "../../base/file.h"
#include "../page/embedded.h"
#include "../page/page_form.h"

namespace tapegrad {
namespace {

constexpr double uniform_entropy = 0.99, one_key_focus = 0.95, least_gradient = 1e-3;

/// For readers without JavaScript: the curve as numbers.
std::string static_table(const Timeline& timeline) {
  std::string out =
      "<p>This page needs JavaScript to step through the training. Loss and gradient norm:</p>\n<table>\n"
      "<tr><th scope=\"col\">step</th><th scope=\"col\">loss</th><th scope=\"col\">gradient norm</th></tr>\n";
  const std::size_t stride = timeline.samples.size() / 25 + 1;
  for (std::size_t i = 0; i < timeline.samples.size(); i += stride) {
    const TimelineSample& s = timeline.samples[i];
    out += fmt::format("<tr><th scope=\"row\">{}</th><td>{:.4g}</td><td>{:.4g}</td></tr>\n", s.step, s.loss,
                       s.gradient_norm);
  }
  return out + "</table>\n";
}

double mean(const std::vector<double>& values) {
  double sum = 0, count = 0;
  for (const double x : values)
    if (std::isfinite(x)) sum += x, ++count;
  return count > 0 ? sum / count : std::nan("");
}

/// ‖Δw‖ / ‖w‖ of all parameters together.
double update_ratio(const TimelineSample& s) {
  double updates = 0, weights = 0;
  for (const double x : s.update) updates += x * x;
  for (const double x : s.weight) weights += x * x;
  return weights > 0 ? std::sqrt(updates / weights) : std::nan("");
}

}  // namespace

HeadState head_state(const TimelineSample& sample, std::size_t head) {
  if (sample.entropy.at(head) >= uniform_entropy) return HeadState::uniform;
  if (sample.focus.at(head) >= one_key_focus) return HeadState::one_key;
  const double largest = *std::max_element(sample.head_gradient.begin(), sample.head_gradient.end());
  return sample.head_gradient.at(head) < least_gradient * largest ? HeadState::no_gradient : HeadState::alive;
}

std::string to_html(const Timeline& timeline) {
  std::string script;
  for (const char* part : {"format.js", "timeline_text.js", "timeline_chart.js", "timeline.js"})
    script += embedded::page_file(part);
  const auto style =
      fmt::format("{}{}", embedded::page_file("style.css"), embedded::page_file("timeline.css"));
  return filled(embedded::page_file("page.html"),
                {{"title", title_escaped("Training timeline: " + timeline.title)},
                 {"style", style},
                 {"noscript", static_table(timeline)},
                 {"kind", "timeline"},
                 {"data", to_json(timeline)},
                 {"script", script}});
}

void write_html(const Timeline& timeline, const std::string& path) { write_file(path, to_html(timeline)); }

std::string sparkline(const std::vector<double>& values, std::size_t width, bool unicode) {
  static constexpr std::string_view blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
                                    plain[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
  const std::size_t columns = std::min(width, values.size());
  std::vector<double> means;
  for (std::size_t c = 0; c < columns; ++c) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(values.size() * c / columns),
               end = values.begin() + static_cast<std::ptrdiff_t>(values.size() * (c + 1) / columns);
    double sum = 0;
    for (auto x = begin; x != end; ++x) sum += *x;
    means.push_back(sum / static_cast<double>(end - begin));
  }
  double low = INFINITY, high = -INFINITY;
  for (const double x : means) {
    if (!std::isfinite(x)) continue;
    low = std::min(low, x);
    high = std::max(high, x);
  }
  std::string text;
  for (const double x : means) {
    if (!std::isfinite(x)) {
      text += '!';
      continue;
    }
    const double share = high > low ? (x - low) / (high - low) : 0;
    const auto level = std::min<std::size_t>(static_cast<std::size_t>(share * 8), 7);
    text += unicode ? blocks[level] : plain[level];
  }
  return text;
}

std::string sparklines(const Timeline& timeline, std::size_t width, bool unicode) {
  if (timeline.samples.empty()) return {};
  constexpr std::size_t label = 24, numbers = 24;
  const std::size_t columns = width > label + numbers + 10 ? width - label - numbers : 10;
  std::string text;
  const auto line = [&](std::string_view name, auto value_of) {
    std::vector<double> values;
    for (const TimelineSample& s : timeline.samples) values.push_back(value_of(s));
    text += fmt::format("{:<{}}{}  {:.4g} {} {:.4g}\n", name, label, sparkline(values, columns, unicode),
                        values.front(), unicode ? "→" : "->", values.back());
  };
  line("loss", [](const TimelineSample& s) { return s.loss; });
  line("gradient norm", [](const TimelineSample& s) { return s.gradient_norm; });
  line("update / weight", update_ratio);
  if (!timeline.samples.front().entropy.empty())
    line("attention entropy", [](const TimelineSample& s) { return mean(s.entropy); });
  std::size_t dead = 0;
  const TimelineSample& last = timeline.samples.back();
  for (std::size_t head = 0; head < last.entropy.size(); ++head)
    dead += head_state(last, head) != HeadState::alive;
  if (!last.entropy.empty())
    text +=
        fmt::format("{:<{}}{} of {} at step {}\n", "dead heads", label, dead, last.entropy.size(), last.step);
  return text;
}

}  // namespace tapegrad
