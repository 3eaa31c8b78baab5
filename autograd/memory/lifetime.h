#pragma once
#include <cstdint>
#include <string_view>

namespace tapegrad {

class Tape;

/// What a handle keeps of its owner. The slot outlives the owner (slots are recycled, never freed), and
/// serial numbers of a slot never repeat, so a handle can always tell whether what it names still exists.
struct LifetimeSlot {
  const Tape* tape = nullptr;  // null when the tape is gone, or for owners that are not tapes
  std::uint64_t next_serial = 1;
  std::uint64_t live_pass = 0;  // for owners that are not tapes: the one serial that is valid
};

LifetimeSlot* acquire_slot(const Tape* tape);
void release_slot(LifetimeSlot* slot);

/// Names a recorded value (a node of a tape) or a result of a backward pass (`node` = pass).
struct Stamp {
  static constexpr std::uint32_t pass = UINT32_MAX;

  LifetimeSlot* slot = nullptr;
  std::uint64_t serial = 0;
  std::uint32_t node = pass;

  bool alive() const;
  /// Throws, naming `op`, when a living handle's value may not be read: its parameter changed.
  void check_readable(std::string_view op) const;
  /// Throws, naming `op`, when the recording that this names was consumed.
  void check_not_consumed(std::string_view op) const;
};

}  // namespace tapegrad
