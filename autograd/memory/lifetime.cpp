#include "lifetime.h"

#include <mutex>
#include <vector>

namespace tapegrad {
namespace {

thread_local bool thread_ends = false;  // readable even after the thread's other variables are destroyed

/// Free slots, one list per thread: a stale handle never reads a slot that another thread writes. A thread
/// that ends leaves its slots to all threads.
class FreeSlots {
 public:
  ~FreeSlots() {
    thread_ends = true;
    const std::lock_guard lock(mutex());
    left().insert(left().end(), slots_.begin(), slots_.end());
  }
  HandleSlot* take() {
    if (slots_.empty()) {
      const std::lock_guard lock(mutex());
      if (left().empty()) return new HandleSlot;  // never freed: stale handles may read it at any time
      slots_.swap(left());
    }
    HandleSlot* slot = slots_.back();
    slots_.pop_back();
    return slot;
  }
  void give(HandleSlot* slot) { slots_.push_back(slot); }
  /// Takes slots of owners that outlive the thread's variables, such as a static tape.
  static void leave(HandleSlot* slot) {
    const std::lock_guard lock(mutex());
    left().push_back(slot);
  }

 private:
  static std::mutex& mutex() {
    static auto& m = *new std::mutex;
    return m;
  }
  static std::vector<HandleSlot*>& left() {
    static auto& slots = *new std::vector<HandleSlot*>;
    return slots;
  }
  std::vector<HandleSlot*> slots_;
};

thread_local FreeSlots free_slots;

}  // namespace

HandleSlot* acquire_slot(const Tape* tape) {
  HandleSlot* slot = thread_ends ? new HandleSlot : free_slots.take();
  slot->tape = tape;
  return slot;
}

void release_slot(HandleSlot* slot) {
  slot->tape = nullptr;
  slot->live_pass = 0;
  thread_ends ? FreeSlots::leave(slot) : free_slots.give(slot);
}

}  // namespace tapegrad
