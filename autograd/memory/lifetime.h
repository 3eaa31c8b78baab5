/// Handle ids: a handle tells by its slot and serial number whether its value still exists.
#pragma once
#include <cstdint>
#include <string_view>

namespace tapegrad {

class Tape;

/// The shared record of an owner of handles. It outlives the owner (slots are recycled, never freed), and the
/// serial numbers of a slot never repeat, so a handle can always tell whether its value still exists.
struct HandleSlot {
  const Tape* tape = nullptr;  // null when the tape is gone, or for owners that are not tapes
  std::uint64_t next_serial = 1;
  std::uint64_t live_pass = 0;  // for owners that are not tapes: the one serial that is valid
};

HandleSlot* acquire_slot(const Tape* tape);
void release_slot(HandleSlot* slot);

/// Identifies a recorded value (a node of a tape) or a result of a backward pass (`node` = pass).
struct HandleId {
  static constexpr std::uint32_t pass = UINT32_MAX;

  HandleSlot* slot = nullptr;
  std::uint64_t serial = 0;
  std::uint32_t node = pass;

  bool alive() const;
  /// Throws, naming `op`, if a valid handle's value is unreadable: its parameter changed.
  void check_readable(std::string_view op) const;
  /// Throws, naming `op`, when the recording of this value was consumed.
  void check_not_consumed(std::string_view op) const;
};

}  // namespace tapegrad
