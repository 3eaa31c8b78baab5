#include "examples/seq2seq/report_log.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/file.h>
#include <tapegrad/autograd/base/utf8.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

namespace tapegrad::seq2seq {
namespace {

using nlohmann::json;

constexpr std::size_t largest_log = std::size_t{1} << 30;

/// The watched examples and layers as in the line `start`.
std::string watched(const Timeline& timeline) {
  Timeline head;
  head.layers = timeline.layers;
  head.attention = timeline.attention;
  return to_json(head);
}

double number(const json& value) { return value.is_null() ? std::nan("") : value.get<double>(); }

std::vector<double> numbers(const json& values) {
  std::vector<double> out;
  for (const json& value : values) out.push_back(number(value));
  return out;
}

Shape shape(const json& extents) {
  const auto list = extents.get<std::vector<Index>>();
  return Shape(std::span<const Index>(list));
}

std::vector<std::uint16_t> map(const std::string& text) {
  std::vector<std::uint16_t> out;
  unsigned word = 0, bits = 0;
  std::vector<unsigned> bytes;
  for (const char c : text) {
    const std::size_t digit =
        std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (digit == std::string_view::npos) break;
    word = word << 6 | static_cast<unsigned>(digit);
    if ((bits += 6) < 8) continue;
    bits -= 8;
    bytes.push_back(word >> bits & 255);
  }
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    out.push_back(static_cast<std::uint16_t>(bytes[i] | bytes[i + 1] << 8));
  return out;
}

InitReport initial(const json& line) {
  InitReport report;
  for (const json& p : line.at("parameters"))
    report.parameters.push_back({p.at("name"), shape(p.at("shape")), number(p.at("mean")),
                                 number(p.at("deviation")), p.at("rule"), number(p.at("promised")),
                                 p.at("suspicious")});
  for (const json& layer : line.at("layers"))
    report.layers.push_back({layer.at("path"), shape(layer.at("shape")), number(layer.at("activation")),
                             number(layer.at("gradient"))});
  report.warnings = line.at("warnings").get<std::vector<std::string>>();
  return report;
}

TimelineSample sample(const json& line) {
  return {.step = line.at("step"),
          .loss = number(line.at("loss")),
          .learning_rate = number(line.at("learning_rate")),
          .gradient_norm = number(line.at("gradient_norm")),
          .gradient = numbers(line.at("gradient")),
          .weight = numbers(line.at("weight")),
          .update = numbers(line.at("update")),
          .entropy = numbers(line.at("entropy")),
          .focus = numbers(line.at("focus")),
          .head_gradient = numbers(line.at("head_gradient"))};
}

/// Returns true when a sample has a number for every layer and head.
bool fits(const TimelineSample& s, const Timeline& timeline) {
  std::size_t heads = 0;
  for (const WatchedAttention& a : timeline.attention) heads += static_cast<std::size_t>(a.heads);
  return s.gradient.size() == timeline.layers.size() && s.weight.size() == timeline.layers.size() &&
         s.update.size() == timeline.layers.size() && s.entropy.size() == heads && s.focus.size() == heads &&
         s.head_gradient.size() == heads;
}

bool fits(const AttentionSnapshot& s, const Timeline& timeline) {
  if (s.maps.size() != timeline.attention.size()) return false;
  for (std::size_t i = 0; i < s.maps.size(); ++i) {
    const WatchedAttention& a = timeline.attention[i];
    if (s.maps[i].size() != static_cast<std::size_t>(a.heads) * a.rows.size() * a.columns.size())
      return false;
  }
  return true;
}

/// Restores a line into `timeline`; returns false for one beyond `step`. Throws on a line that this program
/// did not write.
bool take(const json& line, std::int64_t step, Timeline& timeline) {
  const std::string kind = line.at("kind");
  if (kind == "initial") {
    timeline.initial = initial(line);
    return true;
  }
  if (line.at("step").get<std::int64_t>() > step) return false;
  if (kind == "sample") {
    TimelineSample one = sample(line);
    if (!fits(one, timeline)) throw DataError("other layers or heads");
    timeline.samples.push_back(std::move(one));
  } else if (kind == "snapshot") {
    AttentionSnapshot one{line.at("step"), {}};
    for (const json& text : line.at("maps")) one.maps.push_back(map(text));
    if (!fits(one, timeline)) throw DataError("other maps");
    timeline.snapshots.push_back(std::move(one));
  } else if (kind == "valid") {
    timeline.validation.push_back({line.at("step"), number(line.at("loss"))});
  } else {
    throw DataError("an unknown kind");
  }
  return true;
}

/// The lines of `content` from `begin` on; text after the last line end is one more line.
std::vector<std::string> lines_of(const std::string& content, std::size_t begin) {
  std::vector<std::string> lines;
  while (begin < content.size()) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    lines.push_back(content.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

ReportLog::ReportLog(const std::string& folder, std::int64_t step, Timeline& timeline)
    : path_((std::filesystem::path(folder) / "report.jsonl").string()) {
  const std::string start = watched(timeline);
  std::string kept = fmt::format("{{\"kind\":\"start\",\"watched\":{}}}\n", start);
  std::error_code ignored;
  if (step > 0 && std::filesystem::exists(path_, ignored)) {
    const std::string content = read_file(path_, largest_log);
    // Lines are compared as text: equal watched examples give equal bytes.
    const bool same = content.starts_with(kept);
    std::size_t lost = 0;
    for (const std::string& line : lines_of(content, same ? kept.size() : 0)) {
      try {
        if (!same)
          ++lost;
        else if (take(json::parse(line), step, timeline))
          (kept += line) += '\n';
      } catch (const json::exception&) {  // incomplete
        ++lost;
      } catch (const Error&) {  // not written by this program
        ++lost;
      }
    }
    if (lost > 0)
      std::fputs(fmt::format("seq2seq: warning: {}: {} left out, {}\n", printable(path_),
                             lost == 1 ? "1 line is" : fmt::format("{} lines are", lost),
                             same ? "not readable" : "the first does not name what is watched now")
                     .c_str(),
                 stderr);
  }
  write_file(path_, kept);
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_.is_open()) throw SystemError(fmt::format("{}: cannot be opened for writing", printable(path_)));
}

void ReportLog::write(const ValidationPoint& point) {
  write("valid", fmt::format("{{\"step\":{},\"loss\":{}}}", point.step,
                             std::isfinite(point.loss) ? fmt::format("{}", point.loss) : "null"));
}

void ReportLog::write(const char* kind, const std::string& json) {
  file_ << fmt::format("{{\"kind\":\"{}\",", kind) << std::string_view(json).substr(1) << '\n' << std::flush;
  if (!file_.good()) throw SystemError(fmt::format("{}: cannot be written", printable(path_)));
}

}  // namespace tapegrad::seq2seq
