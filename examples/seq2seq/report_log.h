#pragma once
#include <tapegrad/autograd/inspect/timeline/timeline.h>

#include <fstream>
#include <string>

namespace tapegrad::seq2seq {

/// DIR/report.jsonl, from which a resumed training goes on with its timeline: a line `start` that names what
/// is watched, then `initial`, `sample`, `snapshot` and `valid`.
class ReportLog {
 public:
  /// Puts into `timeline`, which knows what is watched and has no samples yet, what stands in DIR up to
  /// `step`, and cuts the file back to that. Lines that are not readable are left out, and all are when
  /// something else was watched; standard error is told how many. For step 0 the file begins anew.
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
