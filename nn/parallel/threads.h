#pragma once
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tapegrad {

/// A fixed team of threads. `run` gives worker w the tasks w, w + n, w + 2n, … and returns when all are done;
/// waiting threads sleep. The first exception (by task number) is thrown again from `run`, once. The caller
/// is worker 0.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::size_t workers);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::size_t size() const { return workers_; }
  /// `task(worker, number)` for every number below `count`. Not to be called from a task.
  template <class F>
  void run(std::size_t count, F&& task) {
    run_tasks(count, std::ref(task));
  }

 private:
  using Task = std::function<void(std::size_t worker, std::size_t number)>;
  void run_tasks(std::size_t count, const Task& task);
  void work(std::size_t worker, std::size_t count, const Task& task);
  void loop(std::size_t worker);
  void stop();

  std::size_t workers_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const Task* task_ = nullptr;
  std::size_t count_ = 0, round_ = 0, running_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::size_t error_task_ = 0;
};

}  // namespace tapegrad
