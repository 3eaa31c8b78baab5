/// A scope guard that sets a variable and restores its old value.
#pragma once

namespace tapegrad {

/// Sets `place` to `value` for the length of a scope.
template <class T>
class Temporarily {
 public:
  Temporarily(T& place, T value) : place_(place), before_(place) { place_ = value; }
  ~Temporarily() { place_ = before_; }
  Temporarily(const Temporarily&) = delete;
  Temporarily& operator=(const Temporarily&) = delete;

 private:
  T& place_;
  T before_;
};

}  // namespace tapegrad
