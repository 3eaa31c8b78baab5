/// The log of a training report, from which a resumed run restores its timeline.
#pragma once
#include <tapegrad/autograd/inspect/timeline/timeline.h>

#include <fstream>
#include <string>

namespace tapegrad::seq2seq {

/// DIR/report.jsonl: a line `start` that names the watched examples and layers, then lines `initial`,
/// `sample`, `snapshot` and `valid`. A resumed run restores its timeline from it.
class ReportLog {
 public:
  /// Restores into `timeline`, which has its examples and no samples yet, the lines in DIR up to `step`, and
  /// cuts the file off after them. Unreadable lines are left out, and all lines when other examples were
  /// watched; their number is written to standard error. For step 0 the file starts empty.
  ReportLog(const std::string& folder, std::int64_t step, Timeline& timeline);

  /// Throws SystemError when a line cannot be written.
  void write(const InitReport& report) { write("initial", to_json(report)); }
  void write(const TimelineSample& sample) { write("sample", to_json(sample)); }
  void write(const AttentionSnapshot& snapshot) { write("snapshot", to_json(snapshot)); }
  void write(const ValidationPoint& point);

 private:
  void write(const char* kind, const std::string& json);

  std::string path_;
  std::ofstream file_;
};

}  // namespace tapegrad::seq2seq
