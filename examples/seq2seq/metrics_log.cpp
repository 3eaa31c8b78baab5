#include "examples/seq2seq/metrics_log.h"

#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/io/safetensors.h>

#include <filesystem>
#include <optional>

namespace tapegrad::seq2seq {
namespace {

constexpr std::size_t largest_log = std::size_t{1} << 30;

const JsonScalar* find(const JsonMembers& members, std::string_view key) {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

std::optional<std::int64_t> step_of(const JsonMembers& members) {
  const JsonScalar* value = find(members, "step");
  const auto* step = value ? std::get_if<std::int64_t>(value) : nullptr;
  return step ? std::optional(*step) : std::nullopt;
}

/// The members of a line, or none when this program did not write it.
JsonMembers parsed(const std::string& line) {
  try {
    return parse_json_object(line, "metrics.jsonl");
  } catch (const DataError&) {
    return {};
  }
}

}  // namespace

MetricsLog::MetricsLog(const std::string& folder, std::int64_t step)
    : folder_(folder), path_((std::filesystem::path(folder) / "metrics.jsonl").string()) {
  std::string kept;
  std::error_code ignored;
  if (step > 0 && std::filesystem::exists(path_, ignored)) {
    const std::string content = read_file(path_, largest_log);
    for (std::size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      const std::string line = content.substr(begin, end - begin);
      const JsonMembers members = parsed(line);
      const std::optional<std::int64_t> at = step_of(members);
      if (!at || *at > step || find(members, "last")) continue;
      (kept += line) += '\n';
      add_to_curve(members);
    }
  }
  write_file(path_, kept);
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_.is_open()) throw SystemError(fmt::format("{}: cannot be opened for writing", printable(path_)));
}

void MetricsLog::write(const JsonMembers& members) {
  file_ << to_json(members) << '\n' << std::flush;
  if (!file_.good()) throw SystemError(fmt::format("{}: cannot be written", printable(path_)));
  add_to_curve(members);
}

void MetricsLog::add_to_curve(const JsonMembers& members) {
  const std::optional<std::int64_t> step = step_of(members);
  const JsonScalar *kind = find(members, "kind"), *loss = find(members, "loss");
  if (!step || !kind || !loss || !std::holds_alternative<double>(*loss)) return;
  auto& points = *kind == JsonScalar(std::string("valid")) ? curve_.valid : curve_.train;
  if (points.empty() || points.back().step < *step) points.push_back({*step, std::get<double>(*loss)});
}

void MetricsLog::draw() const {
  write_file((std::filesystem::path(folder_) / "loss.svg").string(), loss_svg(curve_));
}

}  // namespace tapegrad::seq2seq
