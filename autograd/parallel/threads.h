/// A fixed team of threads for the parallel loops of training and decoding.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tapegrad {

/// A fixed team of threads. `run` gives worker w the tasks w, w + n, w + 2n, … and returns when all are done;
/// it wakes no worker without a task. A waiting thread spins for up to 50 µs and then sleeps; when the team
/// has more workers than the machine has processors, it sleeps at once. `run` rethrows the first exception by
/// task number. The caller is worker 0.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::size_t workers);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::size_t size() const { return workers_; }
  /// Calls `task(worker, number)` for every number below `count`; returns when all are done. Must not be
  /// called from a task.
  template <class F>
  void run(std::size_t count, F&& task) {
    const auto call = [&task](std::size_t worker, std::size_t number) { task(worker, number); };
    using Call = decltype(call);
    run_tasks(count, {[](const void* f, std::size_t worker, std::size_t number) {
                        (*static_cast<Call*>(f))(worker, number);
                      },
                      &call});
  }

 private:
  /// The user's function, which outlives the run.
  struct Task {
    void (*call)(const void* function, std::size_t worker, std::size_t number) = nullptr;
    const void* function = nullptr;
  };
  /// The round that a worker waits for, on a cache line of its own.
  struct alignas(64) Seat {
    std::atomic<std::uint32_t> round{0};
  };

  void run_tasks(std::size_t count, const Task& task);
  void work(std::size_t worker);
  void loop(std::size_t worker);
  void call(std::size_t workers);
  template <class Ready>
  bool spin(Ready&& ready) const;
  void stop();

  std::size_t workers_;
  bool spins_;
  std::unique_ptr<Seat[]> seats_;
  std::vector<std::thread> threads_;
  Task task_;
  std::size_t count_ = 0;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> running_{0};  // threads of this round that are not done
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::size_t error_task_ = 0;
};

}  // namespace tapegrad
