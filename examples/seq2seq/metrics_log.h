/// The metrics of a training run as JSON lines and as a loss curve.
#pragma once
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "examples/seq2seq/json.h"
#include "examples/support/svg.h"

namespace tapegrad::seq2seq {

using JsonMembers = std::vector<std::pair<std::string, JsonScalar>>;

/// DIR/metrics.jsonl, one JSON object a line, each with `kind` (train, valid) and `step`; and the loss curve
/// drawn from it.
class MetricsLog {
 public:
  /// Keeps the lines in DIR up to `step` (none for 0), without the last validation of a run that its limits
  /// ended (`"last": true`) and without incomplete lines.
  MetricsLog(const std::string& folder, std::int64_t step);

  /// Appends a line. Throws SystemError when it cannot be written.
  void write(const JsonMembers& members);
  /// Writes DIR/loss.svg.
  void draw() const;

 private:
  void add_to_curve(const JsonMembers& members);

  std::string folder_, path_;
  std::ofstream file_;
  LossCurve curve_;
};

}  // namespace tapegrad::seq2seq
