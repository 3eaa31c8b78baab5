/// The history of a training run (Timeline): loss, norms and attention over its steps, written as JSON, as an
/// HTML page or as sparklines.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "init_report.h"

namespace tapegrad {

/// One attention layer of the watched example. Vectors with one number per head list the heads of all layers
/// in order.
struct WatchedAttention {
  std::string path;
  std::int64_t heads = 1;
  std::vector<std::string> rows, columns;  ///< tokens of queries and of keys
};

/// One step of training. Norms are Euclidean: of gradients before clipping, of weights before the update. A
/// layer's norm is over all its own parameters. `entropy`, `focus` and `head_gradient` are the quantities
/// that `HeadState` tests.
struct TimelineSample {
  std::int64_t step = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0;
  std::vector<double> gradient, weight, update;       ///< by layer; the page shows update / weight
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

/// The history of one training run.
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

/// The interval of kept samples after `last` steps: `every` · 2ᵏ with the least k that leaves at most `most`
/// samples. It depends on these numbers alone, so a resumed training keeps equal steps.
constexpr std::int64_t kept_interval(std::int64_t last, std::int64_t every, std::int64_t most) {
  std::int64_t interval = every;
  while (last / interval > most) interval *= 2;
  return interval;
}

/// The reason why a head is reported as dead, in the order of the tests. A head of the watched examples is
/// `uniform` when its mean entropy, −Σ p ln p / ln(keys that the query may see), over all queries that may
/// see two keys or more, is at least 0.99; `one_key` when some key gets at least 0.95 of the weight of every
/// query on average; `no_gradient` when the gradient of its rows of the in-projection is below 1/1000 of the
/// largest head's.
enum class HeadState { alive, uniform, one_key, no_gradient };
HeadState head_state(const TimelineSample& sample, std::size_t head);

/// One JSON object without a newline, for logs that a training can resume from.
std::string to_json(const TimelineSample& sample);
std::string to_json(const AttentionSnapshot& snapshot);
std::string to_json(const InitReport& report);
/// The whole timeline under the schema `timeline/1` (docs/report.md).
std::string to_json(const Timeline& timeline);
/// One self-contained page, without network or server. Equal input gives equal bytes.
std::string to_html(const Timeline& timeline);
/// Writes the page with `write_file` (base/file.h): atomically, or not at all, with a SystemError.
void write_html(const Timeline& timeline, const std::string& path);

/// `▇▅▃▂▁` or `#+-_`: values scaled between their minimum and maximum, at most `width` characters; more
/// values are averaged over equal intervals. Values that are not finite are drawn as `!`.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool unicode);
/// Loss, gradient norm, update/weight ratio and attention entropy over the training, one line each.
std::string sparklines(const Timeline& timeline, std::size_t width, bool unicode);

}  // namespace tapegrad
