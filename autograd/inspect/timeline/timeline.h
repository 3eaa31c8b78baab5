#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "init_report.h"

namespace tapegrad {

/// One attention layer of the example that is watched. Its heads stand one behind the other wherever a
/// timeline has a number for every head.
struct WatchedAttention {
  std::string path;
  std::int64_t heads = 1;
  std::vector<std::string> rows, columns;  ///< tokens of queries and of keys
};

/// One step of training. Norms are Euclidean; the gradient's are those before clipping, a weight's that
/// before the update. By layer: of all its own parameters together. By head: see `HeadLook`.
struct TimelineSample {
  std::int64_t step = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0;
  std::vector<double> gradient, weight, update;  ///< by layer; update / weight is the ratio that is watched
  std::vector<double> entropy, focus, head_gradient;  ///< by head
};

/// Attention maps of the watched example after `step` steps: for every layer [head, query, key], as
/// 65535 · weight, rounded.
struct AttentionSnapshot {
  std::int64_t step = 0;
  std::vector<std::vector<std::uint16_t>> maps;
};

struct ValidationPoint {
  std::int64_t step = 0;
  double loss = 0;
};

/// What became of a model while it was trained.
struct Timeline {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  ///< for the header
  std::vector<std::string> layers;
  std::vector<WatchedAttention> attention;
  std::optional<InitReport> initial;
  std::vector<TimelineSample> samples;  // by rising step, as all that follow
  std::vector<ValidationPoint> validation;
  std::vector<AttentionSnapshot> snapshots;
};

/// Steps between those that are kept once `last` steps are done: `every` · 2ᵏ with the least k that leaves at
/// most `most` of them. It follows from the numbers alone, so that a resumed training keeps the same steps.
constexpr std::int64_t kept_interval(std::int64_t last, std::int64_t every, std::int64_t most) {
  std::int64_t interval = every;
  while (last / interval > most) interval *= 2;
  return interval;
}

/// Why a head is called dead, by the order of the test. A head of the watched examples is `uniform` when its
/// mean entropy, −Σ p ln p / ln(keys that the query may see), over all queries that may see two keys or more,
/// is at least 0.99; `one_key` when some key gets at least 0.95 of the weight of every query on average;
/// `no_gradient` when the gradient of its rows of the in-projection is below 1/1000 of the largest head's.
enum class HeadState { alive, uniform, one_key, no_gradient };
HeadState head_state(const TimelineSample& sample, std::size_t head);

/// One object of JSON each, without a newline: for logs that a training can go on from.
std::string to_json(const TimelineSample& sample);
std::string to_json(const AttentionSnapshot& snapshot);
std::string to_json(const InitReport& report);
/// All of it under the schema `timeline/1` (docs/report.md).
std::string to_json(const Timeline& timeline);
/// A page that needs nothing else: no network, no server. The same input gives the same bytes.
std::string to_html(const Timeline& timeline);
/// Writes the page; a SystemError names the path that cannot be written.
void write_html(const Timeline& timeline, const std::string& path);

/// `▇▅▃▂▁` or `#+-_`: values by their size between the least and the greatest, at most `width` of them, means
/// of equal stretches where there are more. What is not finite is drawn as `!`.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool unicode);
/// Loss, gradient norm, update/weight ratio and attention entropy over the training, a line each.
std::string sparklines(const Timeline& timeline, std::size_t width, bool unicode);

}  // namespace tapegrad
