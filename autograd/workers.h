#pragma once
#include <cstddef>

namespace tapegrad {

/// Threads that share work out: nn's ThreadTeam, as the code below nn sees it.
class Workers {
 public:
  virtual ~Workers() = default;

  virtual std::size_t size() const = 0;
  /// `task(worker, number)` for every number below `count`; returns when all are done. Not to be called from
  /// a task.
  template <class F>
  void run(std::size_t count, F&& task) {
    const auto call = [&task](std::size_t worker, std::size_t number) { task(worker, number); };
    using Call = decltype(call);
    run_tasks(count, {[](const void* f, std::size_t worker, std::size_t number) {
                        (*static_cast<Call*>(f))(worker, number);
                      },
                      &call});
  }

 protected:
  /// The user's function, which outlives the run.
  struct Task {
    void (*call)(const void* function, std::size_t worker, std::size_t number) = nullptr;
    const void* function = nullptr;
  };
  virtual void run_tasks(std::size_t count, const Task& task) = 0;
};

}  // namespace tapegrad
