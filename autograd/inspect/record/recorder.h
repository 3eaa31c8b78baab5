/// Internal: the class behind `record`. Its members are defined in record.cpp, record_check.cpp and
/// record_time.cpp.
#pragma once
#include <cstdint>
#include <vector>

#include "record.h"

namespace tapegrad {

/// Returns, for each node up to the loss, true when a replay with changed results of the node is impossible
/// because a checkpoint depends on them.
std::vector<bool> behind_checkpoint(const Var& loss);

/// Captures a recording; used by `record` alone.
class Recorder {
 public:
  Recorder(Tape& tape, const Var& loss, const RecordOptions& options)
      : tape_(tape), loss_(loss), options_(options) {}
  TapeRecord run();

 private:
  static constexpr std::uint32_t none = UINT32_MAX;

  void find_values();
  void describe(RecordedValue& value, const Node& n);
  void name_values();
  void walk();
  void take(const Step& step);
  void take_gradients(const Gradients& gradients);
  void count_flops();

  void check_values();
  RecordedCheck check(const RecordedValue& value, bool whole) const;

  void time_ops(const Gradients& gradients);
  double time_forward(const Node& n) const;
  double time_backward(std::uint32_t node, const Gradients& gradients);
  double time_pullback(std::uint32_t node, const Gradients& gradients);

  /// The value that holds the data of the whole op of node i.
  RecordedValue& carrier(std::uint32_t i);

  Tape& tape_;
  const Var loss_;
  const RecordOptions& options_;
  TapeRecord record_;
  std::vector<Var> vars_;           // by id
  std::vector<std::uint32_t> ids_;  // by flat output number; `none` for arrays that ops save for their rules
};

}  // namespace tapegrad
