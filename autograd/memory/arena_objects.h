/// Objects with destructors in an arena.
#pragma once
#include <new>
#include <utility>
#include <vector>

#include "arena.h"

namespace tapegrad {

/// Objects that live in an arena and are destroyed, newest first, when it is rewound to before them.
class ArenaObjects {
 public:
  explicit ArenaObjects(Arena& arena) : arena_(arena) {}
  ~ArenaObjects() { drop(0); }
  ArenaObjects(const ArenaObjects&) = delete;
  ArenaObjects& operator=(const ArenaObjects&) = delete;

  template <class T, class... Args>
  T& emplace(Args&&... args) {
    static_assert(alignof(T) <= 16);
    void* at = arena_.allocate(sizeof(T));
    owned_.push_back({at, [](void*) {}});  // first: it may throw, and no object is then left behind
    T& made = *new (at) T(std::forward<Args>(args)...);
    owned_.back().destroy = [](void* object) { static_cast<T*>(object)->~T(); };
    return made;
  }

  /// Destroys every object beyond the first `used` bytes of the arena.
  void drop(std::size_t used) {
    while (!owned_.empty() && owned_.back().object >= arena_.base() + used) {
      const Owned last = owned_.back();
      owned_.pop_back();
      last.destroy(last.object);
    }
  }

 private:
  struct Owned {
    void* object;
    void (*destroy)(void*);
  };

  Arena& arena_;
  std::vector<Owned> owned_;  // in the arena's order
};

}  // namespace tapegrad
