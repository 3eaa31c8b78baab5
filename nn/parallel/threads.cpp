#include <tapegrad/nn/parallel/threads.h>

#include <utility>

#include <tapegrad/autograd/error.h>

namespace tapegrad {

ThreadTeam::ThreadTeam(std::size_t workers) : workers_(workers) {
  expects(workers >= 1 && workers <= 1024, "threads: {} is not between 1 and 1024", workers);
  try {
    for (std::size_t worker = 1; worker < workers; ++worker)
      threads_.emplace_back([this, worker] { loop(worker); });
  } catch (...) {  // the system gives no more threads
    stop();
    throw SystemError(
        fmt::format("threads: the system started {} of {} threads", threads_.size() + 1, workers));
  }
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::work(std::size_t worker, std::size_t count, const Task& task) {
  for (std::size_t number = worker; number < count; number += workers_) {
    try {
      task(worker, number);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_ || number < error_task_) {
        error_ = std::current_exception();
        error_task_ = number;
      }
      return;
    }
  }
}

void ThreadTeam::loop(std::size_t worker) {
  for (std::size_t seen = 0;;) {
    std::unique_lock lock(mutex_);
    start_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    const std::size_t count = count_;
    const Task& task = *task_;
    lock.unlock();
    work(worker, count, task);
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

void ThreadTeam::run_tasks(std::size_t count, const Task& task) {
  error_ = nullptr;
  if (!threads_.empty()) {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    running_ = threads_.size();
    ++round_;
  }
  start_.notify_all();
  work(0, count, task);
  if (!threads_.empty()) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return running_ == 0; });
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace tapegrad
