#pragma once
#include <cstdint>
#include <vector>

#include "record.h"

namespace tapegrad {

/// By node up to the loss: whether the loss cannot be computed with its results changed, because a checkpoint
/// would have to run (Replay).
std::vector<bool> behind_checkpoint(const Var& loss);

/// Takes a recording down; for `record` alone.
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

  /// The value that stands for the whole op of node i.
  RecordedValue& carrier(std::uint32_t i);

  Tape& tape_;
  const Var loss_;
  const RecordOptions& options_;
  TapeRecord record_;
  std::vector<Var> vars_;           // by id
  std::vector<std::uint32_t> ids_;  // by flat output number; `none` for what ops keep for their rules
};

}  // namespace tapegrad
